namespace FusionKernels.Kernels;

/// <summary>A device that runs the kernels. Implementations are thread-safe; their streams are not.</summary>
public interface IKernelBackend : IDisposable
{
    /// <summary>Name for people, e.g. <c>cpu (512-bit)</c>.</summary>
    string Name { get; }

    /// <summary>Bytes of the device's memory.</summary>
    long MemoryBytes { get; }

    /// <summary>
    /// Elements that a call should have for the device to be at its best, where memory allows; a multiple of
    /// <see cref="Reduction.Block"/>.
    /// </summary>
    int ChunkElements { get; }

    /// <summary>
    /// Measures how fast the device copies within its memory, in bytes a second, those read and those written: what
    /// bounds every combine kernel. Takes about a tenth of a second.
    /// </summary>
    double MeasureCopy();

    /// <summary>
    /// Opens a stream: an ordering domain with its own scratch memory. On the CPU a stream is one worker.
    /// </summary>
    IKernelStream OpenStream();

    /// <summary>
    /// Memory that the backend's kernels use where it is, of any contents. Operands may lie in it, or in host memory,
    /// which another device than the CPU brings over and back in every call.
    /// </summary>
    /// <param name="bytes">At least 1.</param>
    BackendMemory Allocate(nint bytes);

    /// <summary>Whether kernels use an operand where it is. On the CPU all memory is such.</summary>
    bool Holds(Operand operand);
}

/// <summary>
/// The kernel contract: one member per kernel, complete in every backend. Calls on one stream happen in order; two
/// streams overlap. Pointers may have any alignment. Inputs never overlap the output, except that an output may be
/// exactly the base's or a model's elements (in place). Kernels of the families combine, select and random give the
/// same bits on every backend, vector width and division into chunks; reductions do too, because their tree is fixed
/// (<see cref="Reduction"/>).
/// Any call may throw <see cref="DeviceException"/> on a device.
/// </summary>
public interface IKernelStream : IDisposable
{
    /// <summary>
    /// Says that host memory will keep its contents until it is released, so that a device may keep a copy for the
    /// calls that read from there.
    /// </summary>
    /// <param name="memory">The first byte.</param>
    /// <param name="bytes">How many.</param>
    unsafe void Hold(void* memory, long bytes);

    /// <summary>Says that memory may change, held or not.</summary>
    /// <param name="memory">The first byte.</param>
    /// <param name="bytes">How many.</param>
    unsafe void Release(void* memory, long bytes);

    /// <summary>
    /// Combine: <c>output = rule(base, model 1..N)</c> in one pass, from storage types to a storage type, rounded once.
    /// </summary>
    /// <param name="chunk">Inputs; any number of models, storage types may differ.</param>
    /// <param name="rule">The rule and its parameters.</param>
    /// <param name="output">
    /// Receives <c>chunk.Length</c> elements. NaN is written as the type's canonical quiet NaN.
    /// </param>
    void Combine<TRule>(in Chunk chunk, in TRule rule, Operand output)
        where TRule : struct, ICombineRule;

    /// <summary>
    /// Reduce: the N x N Gram of the models' values, <c>g[i,j] = sum v_i v_j</c>, as partial sums per block of
    /// <see cref="Reduction.Block"/> elements. <c>chunk.First</c> must be a multiple of the block.
    /// </summary>
    /// <param name="chunk">Inputs.</param>
    /// <param name="partials">
    /// <c>ceil(Length / Block)</c> rows of N(N+1)/2 doubles: the upper triangle by rows. Overwritten.
    /// </param>
    void Gram(in Chunk chunk, Span<double> partials);

    /// <summary>
    /// Reduce: <c>sum |v_i|</c> per model, as partial sums like <see cref="Gram"/>: rows of N doubles.
    /// </summary>
    void AbsoluteSum(in Chunk chunk, Span<double> partials);

    /// <summary>
    /// Reduce: how two chunks of a tensor differ, added to <paramref name="difference"/>. Same storage type on both
    /// sides. The sums have the same bits on every backend when chunks begin at multiples of
    /// <see cref="Reduction.Block"/> and come in order.
    /// </summary>
    void Compare(Operand left, Operand right, int length, ref Difference difference);

    /// <summary>
    /// Select: adds the magnitudes of each model's delta to its histogram. Masks and scales of the sources are ignored.
    /// </summary>
    /// <param name="chunk">Inputs.</param>
    /// <param name="histograms">One per model; <c>null</c> skips the model.</param>
    void Histogram(in Chunk chunk, ReadOnlySpan<MagnitudeHistogram?> histograms);

    /// <summary>
    /// Select: finds among the elements of model 0 whose magnitude bits equal <paramref name="bits"/> the one of rank
    /// <paramref name="rank"/> (0-based, in index order).
    /// </summary>
    /// <returns>Its index within the tensor, or -1 when the chunk holds fewer; then <paramref name="rank"/> is reduced
    /// by their count.</returns>
    long FindTie(in Chunk chunk, uint bits, ref long rank);

    /// <summary>
    /// Select: the magnitude bits of model 0's delta at those elements of the chunk whose index within the tensor is a
    /// multiple of <paramref name="stride"/>, for <see cref="MagnitudeSelector.FromSample"/>.
    /// </summary>
    /// <param name="chunk">Inputs; masks and scales are ignored.</param>
    /// <param name="stride">At least 1. An odd one does not run in step with the rows of a matrix.</param>
    /// <param name="magnitudes">Receives them in index order; must be long enough.</param>
    /// <returns>How many were written.</returns>
    int SampleMagnitudes(in Chunk chunk, int stride, Span<uint> magnitudes);

    /// <summary>
    /// Random: writes the mask of model 0 as bits, element <c>chunk.First</c> first. <c>chunk.First</c> must be a
    /// multiple of 8.
    /// </summary>
    /// <param name="chunk">Inputs; a random mask reads no data.</param>
    /// <param name="bits">Receives <c>ceil(Length / 8)</c> bytes; unused bits of the last one are zero.</param>
    void WriteMask(in Chunk chunk, Span<byte> bits);

    /// <summary>
    /// Random: writes DELLA's mask of model 0 as bits, like <see cref="WriteMask"/>: each element is kept with a
    /// probability that depends on the rank of its magnitude within its row. The chunk begins and ends with whole
    /// groups of rows.
    /// </summary>
    /// <param name="chunk">Inputs; masks and scales are ignored. <c>chunk.First</c> must be a multiple of 8.</param>
    /// <param name="draw">Rows, probabilities and the stream of words.</param>
    /// <param name="bits">Receives <c>ceil(Length / 8)</c> bytes; unused bits of the last one are zero.</param>
    void WriteRankedMask(in Chunk chunk, in RankedDraw draw, Span<byte> bits);

    /// <summary>
    /// Random: the words of elements <paramref name="first"/>, <paramref name="first"/> + 1, ... of a stream.
    /// </summary>
    void Words(Philox stream, long first, Span<uint> words);

    /// <summary>
    /// Random: standard normals of elements <paramref name="first"/>, ... by Box-Muller on the word pairs (w0, w1),
    /// (w2, w3) of a block, with u1 = ((w &gt;&gt; 8) + 1) * 2^-24 and u2 = (w' &gt;&gt; 8) * 2^-24: r cos(2 pi u2), r
    /// sin(2 pi u2), r = sqrt(-2 ln u1). Computed in fp64 and rounded once.
    /// </summary>
    /// <param name="stream">The stream of words.</param>
    /// <param name="first">Which element is the output's first; the others follow row after row.</param>
    /// <param name="output">m x n, F32, stored by rows.</param>
    void Normals(Philox stream, long first, in Matrix output);

    /// <summary>
    /// Copies elements, between host memory and the backend's or within one: of the same type bit by bit, else through
    /// fp32, rounded once to the output's type.
    /// </summary>
    /// <param name="source">m x n, of any type, stored by rows or by columns, without a base.</param>
    /// <param name="output">m x n, likewise; does not overlap the source.</param>
    void Copy(in Matrix source, in Matrix output);

    /// <summary>
    /// Linear algebra: <c>output = alpha * left * right + beta * output</c>. Elements are read as fp32 (a delta rounded
    /// to fp32), multiplied and summed in the output's type: F32, or F64, where F64 operands without a base are read in
    /// full. Sums over k may fuse product and addition; their order depends on k alone. So an output computed in parts,
    /// by one stream or many, has the bits of one computed whole. Across backends and widths results differ by at most
    /// <c>2 k eps * |alpha| (|left| |right|)</c> besides the roundings of alpha and beta. NaN and infinities propagate;
    /// with beta = 0 the output is not read. The output overlaps no input.
    /// </summary>
    /// <param name="left">m x k, of any type and stored by rows or by columns.</param>
    /// <param name="right">k x n, likewise.</param>
    /// <param name="output">m x n, F32 or F64, without a base.</param>
    /// <param name="alpha">Factor on the product.</param>
    /// <param name="beta">Factor on what the output holds.</param>
    void Multiply(in Matrix left, in Matrix right, in Matrix output, double alpha = 1, double beta = 0);

    /// <summary>
    /// Gating: the router's scores of one expert, <c>r[t,i] = || s_i (G_i x_t) ||_2</c> (SMILE, Tang et al. 2024).
    /// Each of the g products is summed in fp32, with an error of at most <c>2 n 2^-24 |G_i| |x_t|</c>; their squares
    /// are summed in fp64 and the root is rounded once. Experts whose rows have the same bits get the same score.
    /// </summary>
    /// <param name="layer">The layer.</param>
    /// <param name="input">Tokens x n, F32, stored by rows.</param>
    /// <param name="expert">Which expert.</param>
    /// <param name="routing">Prepared for the layer and the tokens; receives the expert's scores.</param>
    void Score(GatedLinear layer, in Matrix input, int expert, Routing routing);

    /// <summary>
    /// Gating: what the chosen experts make of their tokens in their own few dimensions, <c>z = w (Down_i x_t)</c>, or
    /// <c>w x_t</c> for a dense expert; one row of <see cref="Routing.Inner"/> for each pair of token and expert. The
    /// error is at most <c>2 (n + 1) 2^-24 w |Down_i| |x_t|</c>.
    /// </summary>
    /// <param name="layer">The layer.</param>
    /// <param name="input">Tokens x n, F32, stored by rows.</param>
    /// <param name="routing">Has chosen (<see cref="Routing.Choose"/>); receives the rows of z.</param>
    /// <param name="first">First element of z to compute; an expert of smaller rank has fewer.</param>
    /// <param name="count">Number of elements.</param>
    void Shrink(GatedLinear layer, in Matrix input, Routing routing, int first, int count);

    /// <summary>
    /// Gating: the fused product <c>y_t = W x_t + b + sum over t's experts (Up_i z + w Bias_i)</c> for some of the
    /// layer's outputs. Sums are fp32, in an order that depends on the number of tokens alone: outputs computed in
    /// parts have the bits of those computed at once, and up to <see cref="GatedLinear.FewTokens"/> tokens each has
    /// the bits it would have alone. The error is at most <c>2 (n + K) 2^-24</c> times the sum of the terms'
    /// magnitudes, with K terms of experts and biases. NaN and infinities propagate.
    /// </summary>
    /// <param name="layer">The layer.</param>
    /// <param name="input">Tokens x n, F32, stored by rows.</param>
    /// <param name="routing">Holds the rows of z.</param>
    /// <param name="first">First output to compute.</param>
    /// <param name="count">Number of outputs.</param>
    /// <param name="output">Tokens x m, F32, stored by rows; overlaps no input.</param>
    void Expand(GatedLinear layer, in Matrix input, Routing routing, int first, int count, in Matrix output);
}
