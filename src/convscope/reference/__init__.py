"""The operations of a CNN in NumPy, forward and backward together, to learn from and to check against.

One idea a file. Every `name` has its `name_backward(grad_output, *inputs) -> gradients in the inputs' order`;
arrays are `(N, C, *spatial)` with one, two or three spatial axes; what goes in as float32 comes out as float32.

| file | what it teaches |
|---|---|
| `sliding.py` | a window as a view of an array |
| `columns.py` | the matrix whose product is a convolution |
| `convolution.py` | convolution, and the flipped one of mathematics |
| `transposed.py` | transposed convolution |
| `pooling.py` | maximum and average, in windows, adaptive and global |
| `resize.py` | nearest and linear interpolation |
| `activation.py` | ReLU and its relatives, softmax |
| `normalization.py` | batch, layer, group and local response normalisation |
| `linear.py` | the fully connected layer; flatten, add, concatenate |
| `dropout.py` | dropout |
| `loss.py` | softmax cross-entropy, the multi-class hinge, logistic |
| `optimizer.py` | SGD with momentum, Adam |
| `layers.py` | an operation with what it learns and what it remembers |
| `network.py` | layers in a row, and the four steps that train them; LeNet-5 |
| `gradient_check.py` | numerical gradients against ours |
"""

from typing import TYPE_CHECKING, Any

from convscope.api.lazy import submodule

if TYPE_CHECKING:
    pass
else:

    def __getattr__(name: str) -> Any:
        """Import a module of the package on first use."""
        return submodule(__name__, __path__, name)
