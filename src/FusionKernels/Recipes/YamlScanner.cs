using YamlDotNet.Core;
using YamlDotNet.Core.Tokens;

namespace FusionKernels.Recipes;

/// <summary>
/// The tokens of a YAML text. The parser looks twice at the token after an anchored value of a flow map, and the
/// library's scanner moves on each time, past the comma. This one stays where it is until a token is consumed; the
/// parser expects nothing to be left after the end of the stream, which it never consumes.
/// </summary>
internal sealed class YamlScanner(TextReader text) : IScanner
{
    private readonly Scanner _scanner = new(text);
    private bool _looking;

    /// <inheritdoc/>
    public Mark CurrentPosition => _scanner.CurrentPosition;

    /// <inheritdoc/>
    public Token? Current => _scanner.Current;

    /// <inheritdoc/>
    public bool MoveNext()
    {
        _looking = false;
        return _scanner.MoveNext();
    }

    /// <inheritdoc/>
    public bool MoveNextWithoutConsuming()
    {
        if (_looking)
            return true;
        bool moved = _scanner.MoveNextWithoutConsuming();
        _looking = moved && Current is not StreamEnd;
        return moved;
    }

    /// <inheritdoc/>
    public void ConsumeCurrent()
    {
        _looking = false;
        _scanner.ConsumeCurrent();
    }
}
