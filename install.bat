@echo off
rem Sets FluxTuner up in .venv beside this file and starts it:
rem   install.bat            opens the app
rem   install.bat practice   trains a LoRA on the embedded practice model, without a graphics card
rem   install.bat test       runs FluxTuner's own tests
rem   install.bat doctor     looks the machine over
rem This script only finds a Python that fits; everything else is "python -m tuner.install", the same on Linux.
setlocal
chcp 65001 >nul
cd /d "%~dp0"
set "PYTHONPATH="
set "PYTHONHOME="
set "VERSION="
set "FITS=import sys, ssl, zlib, json; sys.exit(not ((3, 11) <= sys.version_info[:2] <= (3, 13) and sys.maxsize > 2**32))"

if not exist "tuner\install\__main__.py" (
    echo FluxTuner could not be set up. install.bat must stay in FluxTuner's folder, beside the folder tuner.
    echo   -^> Unpack the whole archive, or get a complete copy with git clone, and start install.bat there.
    goto failed
)

".venv\Scripts\python.exe" -c "%FITS%" >nul 2>&1 && (set "PYTHON=.venv\Scripts\python.exe" & goto found)
for %%V in (3.13 3.12 3.11) do (
    py -%%V -c "%FITS%" >nul 2>&1 && (set "PYTHON=py" & set "VERSION=-%%V" & goto found)
)
python -c "%FITS%" >nul 2>&1 && (set "PYTHON=python" & goto found)

echo FluxTuner could not be set up. It needs 64-bit Python 3.11, 3.12 or 3.13, and none was found.
echo   -^> Run this, close this window, and start install.bat again:  winget install Python.Python.3.13
echo   -^> Or get the Windows installer (64-bit) from https://www.python.org/downloads/windows
goto failed

:found
"%PYTHON%" %VERSION% -X utf8 -m tuner.install %*
if errorlevel 1 goto failed
exit /b 0

:failed
set "CODE=%ERRORLEVEL%"
if "%CODE%"=="0" set "CODE=1"
echo.
if not defined CI pause
exit /b %CODE%
