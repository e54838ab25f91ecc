namespace FusionKernels.Tests.Golden;

/// <summary>
/// The methods that merge task vectors (task_arithmetic, ties, dare_*, breadcrumbs*, della*) as scalar code with every
/// step written out. Its decisions per element: bit 0 the elected sign, then two bits per model, whether it is kept and
/// whether it agrees.
/// </summary>
internal sealed class TaskVectorFormula
{
    private static readonly Dictionary<string, Flags> s_methods = new()
    {
        ["task_arithmetic"] = new(Trim.None, Elects: false, Normalize: 0, Rescale: 0),
        ["ties"] = new(Trim.Magnitude, Elects: true, Normalize: 1, Rescale: 0),
        ["dare_linear"] = new(Trim.Recorded, Elects: false, Normalize: 0, Rescale: 1),
        ["dare_ties"] = new(Trim.Recorded, Elects: true, Normalize: 0, Rescale: 1),
        ["breadcrumbs"] = new(Trim.Outliers, Elects: false, Normalize: 0, Rescale: 0),
        ["breadcrumbs_ties"] = new(Trim.Outliers, Elects: true, Normalize: 0, Rescale: 0),
        ["della_linear"] = new(Trim.RecordedUnlessNone, Elects: false, Normalize: 0, Rescale: 1),
        ["della"] = new(Trim.RecordedUnlessNone, Elects: true, Normalize: 1, Rescale: 1),
    };

    private readonly TensorCase _case;
    private readonly WorkingType _working;
    private readonly bool _keepsDefect;
    private readonly int _turned;
    private readonly ulong[] _decisions;

    private TaskVectorFormula(TensorCase source, WorkingType working, bool keepsDefect, int turned)
    {
        (_case, _working, _keepsDefect, _turned) = (source, working, keepsDefect, turned);
        _decisions = new ulong[source.BaseModel!.Tensor.Values.Length];
    }

    private enum Trim
    {
        None,
        Magnitude,
        Outliers,
        Recorded,
        RecordedUnlessNone,
    }

    /// <summary>Whether this is the formula of a case's method.</summary>
    public static bool Covers(TensorCase source) => s_methods.ContainsKey(source.Method);

    /// <summary>Computes the case.</summary>
    /// <param name="source">The case.</param>
    /// <param name="working">Every step is rounded to it.</param>
    /// <param name="keepsDefect">
    /// Whether the whole delta is dropped where no outlier is to be cut, as in mergekit.
    /// </param>
    /// <param name="turned">
    /// A bit for each model whose ties at the border of the trim are decided the other way.
    /// </param>
    public static Reading Read(TensorCase source, WorkingType working, bool keepsDefect, int turned)
    {
        var formula = new TaskVectorFormula(source, working, keepsDefect, turned);
        return new Reading(formula.Compute(), formula._decisions);
    }

    private float[] Compute()
    {
        var flags = s_methods[_case.Method];
        var origin = _case.BaseModel!.Tensor;
        float[] y = Load(origin);
        int n = y.Length;
        var models = _case.Experts.Where(m => Fits(m, origin)).ToArray();
        float[][] deltas = new float[models.Length][];
        int masksUsed = 0;
        for (int i = 0; i < models.Length; i++)
        {
            float[] x = Load(Cut(models[i].Tensor, origin));
            float[] delta = deltas[i] = new float[n];
            for (int j = 0; j < n; j++)
                delta[j] = _working.Round(x[j] - y[j]);
            double density = _case.Parameter(models[i], "density", 1);
            bool[]? kept = flags.Trim == Trim.None || density >= 1 ? null : flags.Trim switch
            {
                Trim.Magnitude => KeepLargest(delta, density),
                Trim.Outliers => KeepMiddle(delta, density, _case.Parameter(models[i], "gamma", 0.01)),
                Trim.RecordedUnlessNone when density <= 0 => new bool[n],
                _ => [.. _case.Masks[masksUsed++].Values.Select(v => v != 0)],
            };
            if (kept is not null)
                kept = Sparsify(delta, kept, flags, turnsTies: ((_turned >> i) & 1) != 0);
            for (int j = 0; j < n; j++)
                _decisions[j] |= kept?[j] != false ? 1ul << ((2 * i) + 1) : 0;
        }

        float[] weights = [.. models.Select(m => _working.Round((float)_case.Parameter(m, "weight", double.NaN)))];
        bool normalize = _case.Parameters.GetValueOrDefault("normalize", flags.Normalize) != 0;
        float lambda = (float)_case.Parameters.GetValueOrDefault("lambda", 1);
        for (int j = 0; j < n && models.Length > 0; j++)
        {
            float[] g = [.. deltas.Select((d, i) => _working.Round(weights[i] * d[j]))];
            float mix, divisor;
            if (flags.Elects)
            {
                bool positive = _working.Round(Sum(g)) >= 0;
                bool[] agrees = [.. g.Select(v => positive ? v > 0 : v < 0)];
                mix = _working.Round(Sum(g.Zip(agrees, (v, a) => v * (a ? 1 : 0))));
                divisor = _working.Round(Sum(weights.Zip(agrees, (w, a) => w * (a ? 1 : 0))));
                divisor = divisor == 0 ? 1 : divisor;
                _decisions[j] |= positive ? 1ul : 0;
                for (int i = 0; i < g.Length; i++)
                    _decisions[j] |= agrees[i] ? 1ul << ((2 * i) + 2) : 0;
            }
            else
            {
                mix = _working.Round(Sum(g));
                divisor = _working.Round(Sum(weights));
                divisor = MathF.Abs(divisor) < _working.Round(1e-8f) ? 1 : divisor;
            }

            if (normalize)
                mix = _working.Round(mix / divisor);
            if (lambda != 1)
                mix = _working.Round(mix * lambda);
            y[j] = _working.Round(y[j] + mix);
        }

        return [.. y.Select((_case.OutDtype ?? MethodFormula.Storage(_case)).Round)];
    }

    private float[] Load(GoldenTensor tensor) => [.. tensor.Floats.Select(_working.Round)];

    /// <summary>Whether the model takes part: of the base's shape, or an embedding that reaches over it.</summary>
    private bool Fits(CaseModel model, GoldenTensor origin) =>
        _case.IsEmbedding || model.Tensor.Shape.SequenceEqual(origin.Shape);

    private static GoldenTensor Cut(GoldenTensor tensor, GoldenTensor origin)
    {
        if (tensor.Shape.SequenceEqual(origin.Shape))
            return tensor;
        int size = tensor.Bytes.Length / (int)tensor.Shape.Aggregate(1L, (a, b) => a * b);
        int row = (int)tensor.Shape[1] * size, columns = (int)origin.Shape[1] * size;
        byte[][] rows = [.. Enumerable.Range(0, (int)origin.Shape[0])
            .Select(r => tensor.Bytes[(r * row)..((r * row) + columns)])];
        return new GoldenTensor(tensor.Dtype, origin.Shape, [.. rows.SelectMany(r => r)]);
    }

    private static bool[] KeepLargest(float[] delta, double density) =>
        Keep(delta.Length, Descending(delta).Take((int)(density * delta.Length)));

    /// <summary>Sorted ascending by magnitude, positions [bottom, N - top).</summary>
    private bool[] KeepMiddle(float[] delta, double density, double gamma)
    {
        int n = delta.Length, target = (int)(density * n), top = (int)(gamma * n), bottom = n - target - top;
        if (bottom < 0)
            (top, bottom) = (top + bottom, 0);
        if (top == 0 && _keepsDefect)
            return new bool[n];
        int[] ascending = [.. Enumerable.Range(0, n).OrderBy(j => Magnitude(delta[j]))];
        return Keep(n, ascending[bottom..(n - top)]);
    }

    private static IEnumerable<int> Descending(float[] delta) =>
        Enumerable.Range(0, delta.Length).OrderByDescending(j => Magnitude(delta[j]));

    private static uint Magnitude(float value) => BitConverter.SingleToUInt32Bits(value) & 0x7FFF_FFFF;

    private static bool[] Keep(int length, IEnumerable<int> indices)
    {
        bool[] kept = new bool[length];
        foreach (int index in indices)
            kept[index] = true;
        return kept;
    }

    /// <summary>
    /// Masks a delta and restores its L1 norm. A mask is a factor, so that a masked NaN or infinity gives NaN. Turning
    /// ties the other way leaves the norm what it was: it swaps equal magnitudes.
    /// </summary>
    /// <returns>The elements kept.</returns>
    private bool[] Sparsify(float[] delta, bool[] kept, Flags flags, bool turnsTies)
    {
        // Random masks of f16 are applied in fp32, of bf16 in bf16.
        var type = flags.Trim >= Trim.Recorded && _working == WorkingType.F16 ? WorkingType.F32 : _working;
        float before = type.Round((float)delta.Sum(d => (double)Math.Abs(d)));
        float after = type.Round((float)delta.Zip(kept, (d, k) => (double)Math.Abs(d * (k ? 1 : 0))).Sum());
        bool rescales = _case.Parameters.GetValueOrDefault("rescale", flags.Rescale) != 0
            && !(before < 1e-7f) && !(after < 1e-7f);
        float scale = rescales ? type.Round(before / after) : 1;
        if (turnsTies)
            kept = TurnTies(delta, kept);
        for (int j = 0; j < delta.Length; j++)
            delta[j] = _working.Round(type.Round(delta[j] * (kept[j] ? 1 : 0) * scale));
        return kept;
    }

    /// <summary>
    /// Keeps what is dropped and drops what is kept among the magnitudes of which some are kept and some are not.
    /// </summary>
    private static bool[] TurnTies(float[] delta, bool[] kept)
    {
        HashSet<uint> split = [.. delta.Where((_, j) => kept[j]).Select(Magnitude)];
        split.IntersectWith(delta.Where((_, j) => !kept[j]).Select(Magnitude));
        return [.. kept.Select((k, j) => k ^ split.Contains(Magnitude(delta[j])))];
    }

    private static float Sum(IEnumerable<float> values)
    {
        float sum = 0;
        foreach (float value in values)
            sum += value;
        return sum;
    }

    private readonly record struct Flags(Trim Trim, bool Elects, double Normalize, double Rescale);
}
