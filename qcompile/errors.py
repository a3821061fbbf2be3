"""The error tree: a `QcompileError` is the input's fault and is shown without a traceback."""


class QcompileError(Exception):
    """The input's or the user's fault; the message says what, where, which values, what to do."""


class ReadError(QcompileError):
    """A model file or callable that cannot be read."""


class BadModel(ReadError, ValueError):
    """The file is not a model, or the model contradicts itself."""


class UnsupportedOps(ReadError):
    """Operators that the chosen target or `--strict` does not allow; lists all of them."""


class TypeMismatch(QcompileError, TypeError):
    """A node refuses its operands."""


class InvariantViolated(QcompileError):
    """A pass lacks what it requires, or did not give what it promised."""


class CalibrationError(QcompileError, ValueError):
    """No samples, wrong shape, dtype or name, NaN, a range that cannot be quantized."""


class UsageError(QcompileError, ValueError):
    """An option or argument that makes no sense; names the option and the remedy."""


class TargetError(QcompileError):
    """A target cannot take the graph."""


class NotLegal(TargetError):
    """A node that the target has no kernel for."""


class ToolchainError(TargetError):
    """A compiler or linker failed; carries the command and its output."""


class ArtifactError(QcompileError):
    """An artifact folder that cannot be read or written."""


class CheckFailed(QcompileError):
    """The artifact differs from the reference: node, index, both values."""
