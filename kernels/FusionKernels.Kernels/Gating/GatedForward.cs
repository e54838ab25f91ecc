namespace FusionKernels.Kernels;

/// <summary>
/// Forward passes of <see cref="GatedLinear"/> layers, shared by a team of streams: scores by expert, z by elements,
/// outputs in parts. A result does not depend on the parts, so any team gives the same bits. Keeps its memory from
/// one pass to the next. One pass at a time.
/// </summary>
public sealed class GatedForward
{
    // A part of a pass over few tokens is as many rows as have so many bytes, in whole groups of rows: long enough to
    // outweigh its handing out, short enough that no stream waits long for the last one. What is one part is computed
    // without waking anybody.
    private const int PartBytes = 1 << 19, Group = 16;

    private readonly IStreamTeam _team;
    private readonly Action<IKernelStream, int> _score, _shrink, _expand;
    private GatedLinear _layer = null!;
    private Matrix _input, _output;
    private int _scorePart, _shrinkPart, _expandPart;

    /// <summary>Passes by a team.</summary>
    /// <param name="team">Whose streams compute; must outlive this object.</param>
    public GatedForward(IStreamTeam team)
    {
        ArgumentNullException.ThrowIfNull(team);
        _team = team;
        _score = (stream, part) =>
        {
            int first = part * _scorePart, end = first + Count(part, _scorePart, _layer.Experts.Length);
            for (int expert = first; expert < end; expert++)
                stream.Score(_layer, _input, expert, Routing);
        };
        _shrink = (stream, part) => stream.Shrink(
            _layer, _input, Routing, part * _shrinkPart, Count(part, _shrinkPart, _layer.InnerWidth));
        _expand = (stream, part) => stream.Expand(
            _layer, _input, Routing, part * _expandPart, Count(part, _expandPart, _layer.Outputs), _output);
    }

    /// <summary>Scores, experts and weights of the last pass.</summary>
    public Routing Routing { get; } = new();

    /// <summary><c>output = layer(input)</c>; the formula is <see cref="GatedLinear"/>'s.</summary>
    /// <param name="layer">The layer.</param>
    /// <param name="input">Tokens x n, F32, stored by rows.</param>
    /// <param name="output">Tokens x m, F32, stored by rows; overlaps no input. Every element is written.</param>
    /// <exception cref="ArgumentException">Shapes or types do not fit.</exception>
    public void Run(GatedLinear layer, in Matrix input, in Matrix output)
    {
        ArgumentNullException.ThrowIfNull(layer);
        GatedLinear.CheckActivations(input, input.Rows, layer.Inputs);
        GatedLinear.CheckActivations(output, input.Rows, layer.Outputs);
        (_layer, _input, _output) = (layer, input, output);
        Routing.Prepare(layer, input.Rows);
        if (layer.Experts.Length > 1)
        {
            _scorePart = ScorePart(layer.Experts[0].Gate);
            _team.Run(Parts(layer.Experts.Length, _scorePart), _score);
        }

        Routing.Choose();
        _shrinkPart = Part(layer.InnerWidth);
        _team.Run(Parts(layer.InnerWidth, _shrinkPart), _shrink);
        _expandPart = Part(layer.Outputs);
        _team.Run(Parts(layer.Outputs, _expandPart), _expand);
    }

    // In experts. With many tokens each is work enough.
    private int ScorePart(in Matrix gate)
    {
        long bytes = (long)gate.Rows * gate.Columns * gate.Data.Type.Size();
        return _input.Rows <= GatedLinear.FewTokens ? (int)Math.Max(1, PartBytes / Math.Max(1, bytes)) : 1;
    }

    // In rows. With many tokens each part packs all of them: as few parts as there are streams.
    private int Part(int rows)
    {
        long rowBytes = (long)_layer.Inputs * _layer.Weights.Data.Type.Size();
        int part = _input.Rows <= GatedLinear.FewTokens
            ? (int)(PartBytes / Math.Max(1, rowBytes))
            : (rows + _team.Count - 1) / _team.Count;
        return Math.Max(1, (part + Group - 1) / Group) * Group;
    }

    private static int Parts(int rows, int part) => (rows + part - 1) / part;

    private static int Count(int index, int part, int rows) => Math.Min(part, rows - (index * part));
}
