"""A builder of small Graphs by hand, for tests that need no torch."""

from convscope.geometry.relation import Mix, ReachStatus, RelationStep, Taps, shape_after
from convscope.geometry.taps import TapTable, window_taps
from convscope.geometry.window import Window
from convscope.graph.propagate import propagate
from convscope.graph.reach import AxisReach
from convscope.graph.receptive_field import ReceptiveField, summarise
from convscope.graph.records import Graph, Node, Path, TensorSpec, Value


class Builder:
    """Builds a Graph one operation at a time; windows slide along axis 2."""

    def __init__(self, *shape: int) -> None:
        self.values = [Value(0, TensorSpec(shape, "float32"), "input", "input", None, 0)]
        self.nodes: list[Node] = []

    def shape(self, value: int) -> tuple[int, ...]:
        return self.values[value].spec.shape

    def add(
        self,
        *branches: tuple[int, tuple[RelationStep, ...]],
        known: bool = True,
        status: ReachStatus = ReachStatus.EXACT,
    ) -> int:
        source, steps = branches[0]
        shape = self.shape(source)
        for step in steps:
            shape = shape_after(step, shape)
        out, node = len(self.values), len(self.nodes)
        self.values.append(Value(out, TensorSpec(shape, "float32"), "activation", f"v{out}", node, out))
        paths = tuple(Path(s, out, st, status) for s, st in branches) if known else None
        inputs = tuple(s for s, _ in branches)
        self.nodes.append(Node(node, "op", "op", "", 0, inputs, (out,), {}, paths, 0))
        return out

    def tap(self, value: int, table: TapTable) -> int:
        return self.add((value, (Mix(1, self.shape(value)[1]), Taps(2, table))))

    def conv(self, value: int, kernel: int, **settings: int) -> int:
        return self.tap(value, window_taps(Window.of(kernel, **settings), self.shape(value)[2]))

    def field(self, value: int) -> ReceptiveField:
        found = summarise(self.reach(value))
        assert found is not None
        return found

    def reach(self, value: int) -> AxisReach:
        found = propagate(self.graph()).of(value)
        assert found is not None
        return found

    def graph(self) -> Graph:
        return Graph("built", tuple(self.values), tuple(self.nodes), (), (), (0,), (len(self.values) - 1,))
