"""The algorithms of LyCORIS: what each trains in a layer, and to which options it listens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tuner.adapters.shape import Linear
from tuner.errors import Advice, TunerError

Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Options:
    """The choices for one layer, by LyCORIS' names inside `module_algo_map`; `bypass_mode`: rotations and
    factors act on the bias as well.
    """

    algo: str = "lora"
    dim: int = 4
    alpha: float = 1.0
    dropout: float = 0.0
    rank_dropout: float = 0.0
    module_dropout: float = 0.0
    factor: int = -1
    full_matrix: bool = False
    decompose_both: bool = False
    unbalanced_factorization: bool = False
    block_size: int = 4
    constraint: float = 0.0
    rescaled: bool = False
    weight_decompose: bool = False
    wd_on_out: bool = True
    train_on_input: bool = False
    bypass_mode: bool = False


@dataclass(frozen=True)
class LycorisAlgorithm:
    """`shapes` are those of the trained tensors, by their names in a file; `fields` the options it listens to
    beside `algo`.

    `why` says what keeps it from working at all, `why_quantized` over a quantized base, after "because".
    """

    name: str
    title: str
    fields: tuple[str, ...]
    shapes: Callable[[Linear, Options], Shapes]
    aliases: tuple[str, ...] = ()
    why: str = ""
    why_quantized: str = ""

    def trained(self, linear: Linear, options: Options) -> Shapes:
        """Raises TunerError where this layer cannot be divided as asked."""
        shapes = self.shapes(linear, options)
        if options.weight_decompose and "weight_decompose" in self.fields:
            shapes["dora_scale"] = (linear.num_out, 1) if options.wd_on_out else (1, linear.num_in)
        return shapes


def divided(size: int, factor: int) -> tuple[int, int]:
    """size = m * n with m <= n: one of them is `factor` where that divides it, else as square as m <= factor
    allows; -1 sets no limit. LyCORIS' `factorization`, number for number.
    """
    if factor > 0 and size % factor == 0:
        return min(factor, size // factor), max(factor, size // factor)
    limit = size if factor < 0 else factor
    best = max(m for m in range(1, size + 1) if size % m == 0 and m * m <= size and m <= max(limit, 1))
    return best, size // best


def _low_rank(linear: Linear, options: Options) -> Shapes:
    return {
        "lora_up.weight": (linear.num_out, options.dim),
        "lora_down.weight": (options.dim, linear.num_in),
    }


def _dylora(linear: Linear, options: Options) -> Shapes:
    if options.dim % options.block_size:
        raise TunerError(
            f"'dylora' needs a 'linear_dim' that is a multiple of its 'block_size' {options.block_size}, "
            f"and {options.dim} is none.",
            Advice("Take the next smaller.", {"lycoris.linear_dim": _multiple(options)}),
        )
    return _low_rank(linear, options)


def _multiple(options: Options) -> int:
    return max(options.dim // options.block_size, 1) * options.block_size


def _loha(linear: Linear, options: Options) -> Shapes:
    pair = {"a": (linear.num_out, options.dim), "b": (options.dim, linear.num_in)}
    return {f"hada_w{number}_{side}": shape for number in (1, 2) for side, shape in pair.items()}


def _lokr(linear: Linear, options: Options) -> Shapes:
    """W1 (small) x W2 (large), each whole or, where the rank is small enough to save numbers, in two."""
    columns = divided(linear.num_in, options.factor)
    rows = divided(linear.num_out, options.factor)
    if options.unbalanced_factorization:
        rows = rows[::-1]
    rank, may_split = options.dim, (options.decompose_both, True)
    shapes: Shapes = {}
    for number in (0, 1):
        height, width = rows[number], columns[number]
        name = f"lokr_w{number + 1}"
        if may_split[number] and not options.full_matrix and rank < max(height, width) / 2:
            shapes |= {f"{name}_a": (height, rank), f"{name}_b": (rank, width)}
        else:
            shapes[name] = (height, width)
    return shapes


def _glora(linear: Linear, options: Options) -> Shapes:
    return {
        "a1.weight": (linear.num_in, options.dim),
        "a2.weight": (options.dim, linear.num_in),
        "b1.weight": (linear.num_out, options.dim),
        "b2.weight": (options.dim, linear.num_in),
    }


def _ia3(linear: Linear, options: Options) -> Shapes:
    return {"weight": (linear.num_in if options.train_on_input else linear.num_out,)}


def _full(linear: Linear, _: Options) -> Shapes:
    return {"diff": (linear.num_out, linear.num_in), "diff_b": (linear.num_out,)}


def _diag_oft(linear: Linear, options: Options) -> Shapes:
    size, number = divided(linear.num_out, options.dim)
    return {"oft_blocks": (number, size, size), **_rescale(linear, options)}


def _boft(linear: Linear, options: Options) -> Shapes:
    """Blocks of an even size, their number a power of two, in as many stages as it has binary digits."""
    sizes = [
        size
        for size in range(2, linear.num_out + 1, 2)
        if linear.num_out % size == 0 and (linear.num_out // size).bit_count() == 1
    ]
    fitting = [size for size in sizes if size <= options.dim]
    if not fitting:
        least = sizes[0] if sizes else None
        change = {"lycoris.linear_dim": least} if least else {"lycoris.algo": "lokr"}
        raise TunerError(
            f"'boft' cannot divide the {linear.num_out} rows of '{linear.path}' into blocks of at most "
            f"'linear_dim' {options.dim}.",
            Advice(f"Take at least {least}." if least else "Choose 'lokr'.", change),
        )
    size = fitting[-1]
    number = linear.num_out // size
    stages = (number - 1).bit_count() + 1
    return {"oft_blocks": (stages, number, size, size), **_rescale(linear, options)}


def _rescale(linear: Linear, options: Options) -> Shapes:
    return {"rescale": (linear.num_out, 1)} if options.rescaled else {}


def _nothing(_: Linear, __: Options) -> Shapes:
    return {}


_DROPOUTS = ("dropout", "rank_dropout", "module_dropout")
_DORA = ("weight_decompose", "wd_on_out")
_ROTATION = ("dim", "constraint", "rescaled", "module_dropout", "bypass_mode")
_LOKR = ("factor", "full_matrix", "decompose_both", "unbalanced_factorization")

ALGORITHMS: tuple[LycorisAlgorithm, ...] = (
    LycorisAlgorithm(
        "lokr", "LoKr: a Kronecker product", ("dim", "alpha", *_LOKR, *_DROPOUTS, *_DORA), _lokr
    ),
    LycorisAlgorithm(
        "lora", "LoRA: two thin matrices", ("dim", "alpha", *_DROPOUTS, *_DORA), _low_rank, ("locon",)
    ),
    LycorisAlgorithm("loha", "LoHa: two LoRAs multiplied", ("dim", "alpha", *_DROPOUTS, *_DORA), _loha),
    LycorisAlgorithm("diag-oft", "OFT: rotations of blocks of outputs", _ROTATION, _diag_oft, ("oft",)),
    LycorisAlgorithm("boft", "BOFT: rotations in butterfly stages", _ROTATION, _boft),
    LycorisAlgorithm(
        "ia3", "IA3: a factor for each output", ("train_on_input", "module_dropout", "bypass_mode"), _ia3
    ),
    LycorisAlgorithm(
        "full",
        "a whole new matrix",
        ("rank_dropout", "module_dropout"),
        _full,
        why_quantized="it trains a whole float32 matrix for each layer, many times what quantizing saves",
    ),
    LycorisAlgorithm(
        "glora",
        "GLoRA: one LoRA behind the layer, one before",
        ("dim", "alpha", "dropout", "module_dropout"),
        _glora,
    ),
    LycorisAlgorithm(
        "dylora",
        "DyLoRA: a LoRA that works at smaller ranks too",
        ("dim", "alpha", "block_size", "dropout", "module_dropout"),
        _dylora,
    ),
    LycorisAlgorithm(
        "tlora",
        "T-LoRA: fewer ranks at noisier steps",
        (),
        _nothing,
        why="ComfyUI and the other programs that draw cannot read its files",
    ),
)


def algorithm(name: str) -> LycorisAlgorithm:
    """The row that is called `name`, or has it as another name; raises KeyError."""
    return {word: row for row in ALGORITHMS for word in (row.name, *row.aliases)}[name]


def words() -> tuple[str, ...]:
    """Every name that `algo` may be given, without those that never work."""
    return tuple(word for row in ALGORITHMS if not row.why for word in (row.name, *row.aliases))
