using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace FusionKernels.Kernels;

/// <summary>
/// Which experts some tokens go to, and what a forward pass keeps between its kernels. Its memory is kept as well, so
/// that a pass allocates only where it is larger than all before. One pass at a time.
/// </summary>
public sealed unsafe class Routing
{
    private float[] _scores = [], _probabilities = [], _weights = [], _inner = [];
    private int[] _chosen = [], _order = [], _starts = [];
    private int _experts, _topK, _innerWidth;

    /// <summary>How many tokens.</summary>
    public int Tokens { get; private set; }

    /// <summary>r, tokens x experts. A single expert's are 1, without having been computed.</summary>
    public Span<float> Scores => _scores.AsSpan(0, Tokens * _experts);

    /// <summary>softmax(r), tokens x experts.</summary>
    public ReadOnlySpan<float> Probabilities => _probabilities.AsSpan(0, Tokens * _experts);

    /// <summary>The experts of each token, tokens x TopK, the most probable first.</summary>
    public ReadOnlySpan<int> Chosen => _chosen.AsSpan(0, Tokens * _topK);

    /// <summary>Their weights, tokens x TopK; a token's sum is 1.</summary>
    public ReadOnlySpan<float> Weights => _weights.AsSpan(0, Tokens * _topK);

    /// <summary>
    /// Places in <see cref="Chosen"/> sorted by expert, and by place within an expert: row i of <see cref="Inner"/>
    /// belongs to place <c>Order[i]</c>, which is token <c>Order[i] / TopK</c>.
    /// </summary>
    public ReadOnlySpan<int> Order => _order.AsSpan(0, Tokens * _topK);

    /// <summary>Where each expert's places begin in <see cref="Order"/>, and the end: experts + 1 elements.</summary>
    public ReadOnlySpan<int> Starts => _starts.AsSpan(0, _experts + 1);

    /// <summary>z, (tokens * TopK) x the layer's InnerWidth, F32.</summary>
    public Matrix Inner
    {
        get
        {
            // SAFETY: the array is pinned for its whole life, and this object keeps it alive.
            void* address = Unsafe.AsPointer(ref MemoryMarshal.GetArrayDataReference(_inner));
            return new Matrix(new Operand(ElementType.F32, address), Tokens * _topK, _innerWidth);
        }
    }

    /// <summary>The token that row <paramref name="index"/> of <see cref="Inner"/> belongs to.</summary>
    public int Token(int index) => _order[index] / _topK;

    /// <summary>Makes room for some tokens of a layer; what was in it is lost.</summary>
    public void Prepare(GatedLinear layer, int tokens)
    {
        ArgumentNullException.ThrowIfNull(layer);
        ArgumentOutOfRangeException.ThrowIfNegative(tokens);
        (Tokens, _experts, _topK, _innerWidth) = (tokens, layer.Experts.Length, layer.TopK, layer.InnerWidth);
        int scores = checked(tokens * _experts), places = checked(tokens * _topK);
        Grow(ref _scores, scores, pinned: false);
        Grow(ref _probabilities, scores, pinned: false);
        Grow(ref _chosen, places, pinned: false);
        Grow(ref _weights, places, pinned: false);
        Grow(ref _order, places, pinned: false);
        Grow(ref _starts, _experts + 1, pinned: false);
        Grow(ref _inner, checked(places * _innerWidth), pinned: true);
    }

    /// <summary>
    /// From scores to experts: softmax in fp32, the TopK largest probabilities with ties going to the lower expert,
    /// divided by their sum, and the sort by expert. A token with a NaN or +infinity among its scores has NaN
    /// weights and goes to the first experts. With one expert the weight is 1.
    /// </summary>
    public void Choose()
    {
        if (_experts == 1)
            Scores.Fill(1);
        for (int token = 0; token < Tokens && _topK > 0; token++)
        {
            Span<float> probabilities = _probabilities.AsSpan(token * _experts, _experts);
            Softmax(_scores.AsSpan(token * _experts, _experts), probabilities);
            TakeLargest(probabilities, _chosen.AsSpan(token * _topK, _topK), _weights.AsSpan(token * _topK, _topK));
        }

        SortByExpert();
    }

    /// <summary>Checks the arguments of a kernel: this must be prepared for the layer and the tokens.</summary>
    internal static void Check(GatedLinear layer, in Matrix input, Routing routing)
    {
        ArgumentNullException.ThrowIfNull(layer);
        ArgumentNullException.ThrowIfNull(routing);
        GatedLinear.CheckActivations(input, routing.Tokens, layer.Inputs);
        ArgumentOutOfRangeException.ThrowIfNotEqual(routing._experts, layer.Experts.Length);
        ArgumentOutOfRangeException.ThrowIfNotEqual(routing._topK, layer.TopK);
        ArgumentOutOfRangeException.ThrowIfNotEqual(routing._innerWidth, layer.InnerWidth);
    }

    private static void Softmax(ReadOnlySpan<float> scores, Span<float> probabilities)
    {
        float largest = float.NegativeInfinity, sum = 0;
        foreach (float score in scores)
            largest = MathF.Max(largest, score);
        for (int i = 0; i < scores.Length; i++)
            sum += probabilities[i] = MathF.Exp(scores[i] - largest);
        for (int i = 0; i < scores.Length; i++)
            probabilities[i] /= sum;
    }

    // One pass over the experts for each that is taken: both are few. A comparison with NaN is false, so the first
    // expert not yet taken stays.
    private static void TakeLargest(ReadOnlySpan<float> probabilities, Span<int> chosen, Span<float> weights)
    {
        float sum = 0;
        for (int slot = 0; slot < chosen.Length; slot++)
        {
            int best = -1;
            for (int expert = 0; expert < probabilities.Length; expert++)
            {
                if (chosen[..slot].Contains(expert))
                    continue;
                if (best < 0 || probabilities[expert] > probabilities[best])
                    best = expert;
            }

            chosen[slot] = best;
            sum += weights[slot] = probabilities[best];
        }

        foreach (ref float weight in weights)
            weight /= sum;
    }

    // Counts, running sums, places: a counting sort.
    private void SortByExpert()
    {
        Span<int> starts = _starts.AsSpan(0, _experts + 1);
        starts.Clear();
        foreach (int expert in Chosen)
            starts[expert + 1]++;
        for (int expert = 0; expert < _experts; expert++)
            starts[expert + 1] += starts[expert];

        // Each start moves up to the next one as its places are filled, and back down afterwards.
        for (int place = 0; place < Chosen.Length; place++)
            _order[starts[Chosen[place]]++] = place;
        for (int expert = _experts; expert > 0; expert--)
            starts[expert] = starts[expert - 1];
        starts[0] = 0;
    }

    private static void Grow<TElement>(ref TElement[] array, int length, bool pinned)
    {
        if (array.Length < length)
            array = GC.AllocateUninitializedArray<TElement>(length, pinned);
    }
}
