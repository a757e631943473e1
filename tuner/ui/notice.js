// The end of a run is told once, however many browser tabs show it: by a short sound, and by a notice of
// the system where that was allowed. Nothing is loaded for it.
const SWITCH = 'fluxtuner.notice', TOLD = 'fluxtuner.told', TITLE = document.title;
const ENDS = {
  finished: { said: 'is finished', tones: [523, 659, 784] },
  failed: { said: 'failed', tones: [392, 311] },
};
const box = element.querySelector('input'), allow = element.querySelector('button');
const sidebar = element.closest('#sidebar');

const askable = () => 'Notification' in window && Notification.permission === 'default';
const show = () => { allow.hidden = !(box.checked && askable()); };

const chime = (tones) => {
  const audio = new AudioContext();
  tones.forEach((hertz, number) => {
    const tone = audio.createOscillator(), loudness = audio.createGain();
    const begin = audio.currentTime + 0.17 * number;
    tone.frequency.value = hertz;
    loudness.gain.setValueAtTime(0.0001, begin);
    loudness.gain.exponentialRampToValueAtTime(0.15, begin + 0.03);
    loudness.gain.exponentialRampToValueAtTime(0.0001, begin + 0.5);
    tone.connect(loudness).connect(audio.destination);
    tone.start(begin);
    tone.stop(begin + 0.5);
  });
  setTimeout(() => audio.close(), 2500);
};

const tell = (run, end, at) => navigator.locks.request(TOLD, () => {
  if (!box.checked || localStorage.getItem(TOLD) === at) return;
  localStorage.setItem(TOLD, at);
  chime(end.tones);
  if ('Notification' in window && Notification.permission === 'granted')
    new Notification('FluxTuner', { body: `“${run}” ${end.said}.`, tag: 'fluxtuner' });
});

let before = {};
const look = () => {
  const strip = sidebar.querySelector('.strip');
  if (!strip) return;
  const { run, state, at, percent } = strip.dataset, going = ['running', 'paused'];
  if (run === before.run && going.includes(before.state) && state in ENDS) tell(run, ENDS[state], at);
  document.title = going.includes(state) ? `${percent} % · ${run}` : TITLE;
  before = { run, state };
};

box.checked = localStorage.getItem(SWITCH) !== 'off';
box.addEventListener('change', () => {
  localStorage.setItem(SWITCH, box.checked ? 'on' : 'off');
  show();
});
allow.addEventListener('click', () => Notification.requestPermission().then(show));
new MutationObserver(look).observe(sidebar, { childList: true, subtree: true });
show();
look();
