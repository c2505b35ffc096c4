"""Formulas of the operations as MathML, which browsers draw and screen readers read, with the same in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape

from convscope.interpret.explanation.record import Explanation

Markup = str


def formula_of(found: Explanation) -> dict[str, str]:
    """Return the formula of how a number was made: `mathml`, and `text` in words."""
    make = _FORMULAS.get(found.kind, _given)
    markup, text = make(found)
    return {
        "mathml": f'<math xmlns="http://www.w3.org/1998/Math/MathML" display="block">{_row(markup)}</math>',
        "text": text,
    }


def _i(name: str) -> Markup:
    return f"<mi>{escape(name)}</mi>"


def _n(number: object) -> Markup:
    return f"<mn>{escape(str(number))}</mn>"


def _o(sign: str) -> Markup:
    return f"<mo>{escape(sign)}</mo>"


def _t(words: str) -> Markup:
    return f"<mtext>{escape(words)}</mtext>"


def _row(*parts: Markup) -> Markup:
    return f"<mrow>{''.join(parts)}</mrow>"


def _sub(base: Markup, below: Markup) -> Markup:
    return f"<msub>{base}{below}</msub>"


def _over(above: Markup, below: Markup) -> Markup:
    return f"<mfrac>{above}{below}</mfrac>"


def _sum(below: Markup) -> Markup:
    return f"<munder>{_o('∑')}{below}</munder>"


def _indices(*names: str) -> Markup:
    return _row(_o(",").join(_i(name) for name in names))


def _y() -> Markup:
    return _row(_i("y"), _o("="))


def _products(found: Explanation) -> tuple[Markup, str]:
    """Return the formula of a sum of products: a convolution, a fully connected layer, an interpolated map."""
    biased = any(line.text.startswith("+ bias") for line in found.worked.lines)
    bias = _row(_o("+"), _sub(_i("b"), _i("c"))) if biased else ""
    windows = found.node.windows
    if not windows:
        text = "each number of the row times its weight, summed" + ", plus the bias" * biased
        return _row(_sub(_i("y"), _i("c")), _o("="), _sum(_i("k")), _sub(_i("w"), _indices("c", "k")), _o("·"),
                    _sub(_i("x"), _i("k")), bias), text  # fmt: skip
    letters, taps = "ijl"[: len(windows)], "uvt"[: len(windows)]
    if found.node.arguments.get("transposed"):
        text = "each number that lands here times the weight with which it does, summed" + ", plus the bias" * biased
        places = _row(_i("k"), _o(","), _t("positions that land here"))
        return _row(
            _sub(_i("y"), _indices("c", *letters)), _o("="), _sum(places), _i("w"), _o("·"), _i("x"), bias
        ), text
    read = []
    for letter, tap, window in zip(letters, taps, windows, strict=True):
        place = _row(_n(window.stride), _i(letter)) if window.stride > 1 else _i(letter)
        moved = _row(_n(window.dilation), _i(tap)) if window.dilation > 1 else _i(tap)
        padding = _row(_o("−"), _n(window.padding_before)) if window.padding_before else ""
        read.append(_row(place, _o("+"), moved, padding))
    weight, x = _sub(_i("w"), _indices("c", "k", *taps)), _sub(_i("x"), _row(_i("k"), _o(","), _o(",").join(read)))
    text = "each number under the window times the kernel's weight there, summed over the window and the channels"
    text += ", plus the bias" * biased
    return _row(
        _sub(_i("y"), _indices("c", *letters)), _o("="), _sum(_indices("k", *taps)), weight, _o("·"), x, bias
    ), text


def _choice(found: Explanation) -> tuple[Markup, str]:
    word = "min" if "smallest" in found.worked.lines[0].text else "max"
    named = "largest" if word == "max" else "smallest"
    return _row(_y(), f"<munder>{_i(word)}{_t('window')}</munder>", _i("x")), f"the {named} number under the window"


def _mean(found: Explanation) -> tuple[Markup, str]:
    count = found.worked.lines[-1].text.removeprefix("÷ ")
    return _row(_y(), _over(_n(1), _n(count)), _sum(_t("window")), _i("x")), f"the sum of all, divided by {count}"


def _total(found: Explanation) -> tuple[Markup, str]:
    return _row(_y(), _sum(_i("k")), _sub(_i("x"), _i("k"))), "; ".join(line.text for line in found.worked.lines)


def _softmax(found: Explanation) -> tuple[Markup, str]:
    power = f"<msup>{_i('e')}{_sub(_i('x'), _i('c'))}</msup>"
    others = _row(_sum(_i("k")), f"<msup>{_i('e')}{_sub(_i('x'), _i('k'))}</msup>")
    whole = _over(power, others)
    logarithm = any(line.text == "logarithm" for line in found.worked.lines)
    text = "e to the power of the score, over the sum of these of all scores"
    if logarithm:
        return _row(_y(), _i("log"), whole), f"the logarithm of {text}"
    return _row(_y(), whole), text


def _chain(found: Explanation) -> tuple[Markup, str]:
    """Return the formula of steps on one number: normalization, activation, the sum of two."""
    if found.node.op.endswith("norm"):
        root = f"<msqrt>{_row(_sub(_i('σ'), _i('c')), _o('+'), _i('ε'))}</msqrt>".replace("σ", "v")
        normal = _over(_row(_i("x"), _o("−"), _sub(_i("μ"), _i("c"))), root)
        text = "less the mean, over the root of the variance, times the weight, plus the bias"
        return _row(_y(), _sub(_i("γ"), _i("c")), _o("·"), normal, _o("+"), _sub(_i("β"), _i("c"))), text
    spoken = found.worked.lines[-1].text
    known: Mapping[str, Markup] = {
        "max(0, x)": _row(_i("max"), _o("("), _n(0), _o(","), _i("x"), _o(")")),
        "a + b": _row(_i("a"), _o("+"), _i("b")),
        "a − b": _row(_i("a"), _o("−"), _i("b")),
        "a · b": _row(_i("a"), _o("·"), _i("b")),
        "a ÷ b": _over(_i("a"), _i("b")),
        "1 / (1 + e^−x)": _over(_n(1), _row(_n(1), _o("+"), f"<msup>{_i('e')}{_row(_o('−'), _i('x'))}</msup>")),
    }
    return _row(_y(), known.get(spoken, _t(spoken))), spoken


def _move(found: Explanation) -> tuple[Markup, str]:
    return _row(_y(), _i("x")), found.worked.lines[-1].text


def _given(found: Explanation) -> tuple[Markup, str]:
    return _row(_y(), _t(found.operation)), found.worked.lines[-1].text


_FORMULAS: Mapping[str, Callable[[Explanation], tuple[Markup, str]]] = {
    "products": _products, "choice": _choice, "mean": _mean, "sum": _total, "softmax": _softmax, "chain": _chain,
    "move": _move, "given": _given,
}  # fmt: skip
