using FusionKernels.Kernels.Ilgpu.DeviceCode;
using ILGPU;

namespace FusionKernels.Kernels.Ilgpu;

/// <summary>
/// A gated layer on a device, and forward passes there that the host only asks for: scores, experts and weights of the
/// tokens never leave it. The layer is brought over once, its low-rank experts side by side. Few tokens take four
/// kernels that read every weight they need once; for many, z of all experts is one product, in which those that a
/// token did not choose become zeros, and the experts' outputs are a second one. One pass at a time.
/// </summary>
public sealed class DeviceGatedLayer : IDisposable
{
    private readonly IlgpuBackend _backend;
    private readonly IlgpuStream _stream;
    private readonly List<BackendMatrix> _layer = [], _pass = [];
    private readonly Matrix _weights, _gates, _downs, _ups, _scales, _biases;
    private readonly int _experts, _topK, _gateRank, _rank;
    private Matrix _input, _output, _products, _inner, _chosen, _chosenWeights;
    private int _capacity;

    /// <summary>Brings a layer over.</summary>
    /// <param name="backend">The device; must outlive this object.</param>
    /// <param name="layer">
    /// Without dense experts. Weights that the device holds are used where they are, and must stay there.
    /// </param>
    /// <exception cref="ArgumentException">
    /// An expert is dense; <see cref="GatedForward"/> takes such a layer on any backend.
    /// </exception>
    /// <exception cref="DeviceException">The device has no room for the layer, or is lost.</exception>
    public DeviceGatedLayer(IlgpuBackend backend, GatedLinear layer)
    {
        ArgumentNullException.ThrowIfNull(backend);
        ArgumentNullException.ThrowIfNull(layer);
        Expert[] experts = layer.Experts.ToArray();
        if (Array.FindIndex(experts, e => e.IsDense) is >= 0 and var dense)
        {
            throw new ArgumentException(
                $"expert {dense} is dense: it has no low rank to stand beside others; {nameof(GatedForward)} takes it",
                nameof(layer));
        }

        (_backend, _stream) = (backend, new IlgpuStream(backend) { IsWaiting = false });
        (_experts, _topK, _rank) = (experts.Length, layer.TopK, (layer.InnerWidth + 7) / 8 * 8);
        _gateRank = experts.Length > 1 ? experts.Max(e => e.Gate.Rows) : 0;
        try
        {
            ElementType[] types = [.. experts.SelectMany(TypesOf).Distinct()];
            ElementType type = types.Length == 1 ? types[0] : ElementType.F32;
            _weights = IsUsable(layer.Weights)
                ? layer.Weights
                : New(_layer, layer.Weights.Data.Type, layer.Outputs, layer.Inputs);
            if (_weights != layer.Weights)
                _stream.Copy(layer.Weights, _weights);
            _gates = NewZeros(type, _experts * _gateRank, layer.Inputs);
            _downs = NewZeros(type, _experts * _rank, layer.Inputs);
            _ups = NewZeros(type, layer.Outputs, _experts * _rank);
            _scales = New(_layer, ElementType.F32, 1, _experts * _gateRank);
            _biases = NewZeros(ElementType.F32, 1, (1 + _experts) * layer.Outputs);
            CopyBias(layer.Bias, 0);
            using var scales = new DenseMatrix<float>(1, _experts * _gateRank);
            scales.Row(0).Fill(1);
            for (int i = 0; i < _experts; i++)
            {
                _stream.Copy(experts[i].Down, _downs.SliceRows(i * _rank, experts[i].Rank));
                _stream.Copy(experts[i].Up, _ups.Slice(0, i * _rank, layer.Outputs, experts[i].Rank));
                CopyBias(experts[i].Bias, 1 + i);
                if (_experts == 1)
                    continue;
                _stream.Copy(experts[i].Gate, _gates.SliceRows(i * _gateRank, experts[i].Gate.Rows));
                experts[i].GateScales.Span.CopyTo(scales.Row(0)[(i * _gateRank)..]);
            }

            _stream.Copy(scales.View, _scales);
        }
        catch
        {
            Dispose();
            throw;
        }

        ElementType[] TypesOf(Expert expert) => experts.Length > 1
            ? [expert.Up.Data.Type, expert.Down.Data.Type, expert.Gate.Data.Type]
            : [expert.Up.Data.Type, expert.Down.Data.Type];

        void CopyBias(Operand bias, int row)
        {
            Matrix place = _biases.Slice(0, row * layer.Outputs, 1, layer.Outputs);
            if (bias.Exists)
                _stream.Copy(new Matrix(bias, 1, layer.Outputs), place);
        }
    }

    /// <summary><c>output = layer(input)</c>; the formula is <see cref="GatedLinear"/>'s.</summary>
    /// <param name="input">Tokens x n, F32, stored by rows, in host memory or the device's.</param>
    /// <param name="output">
    /// Tokens x m, likewise; overlaps no input. In the device's memory it is complete when <see cref="Wait"/> returns.
    /// </param>
    public void Forward(in Matrix input, in Matrix output)
    {
        GatedLinear.CheckActivations(input, input.Rows, _weights.Columns);
        GatedLinear.CheckActivations(output, input.Rows, _weights.Rows);
        if (output.Rows == 0 || output.Columns == 0)
            return;
        Prepare(input.Rows);
        Matrix x = IsUsable(input) ? input : _input.SliceRows(0, input.Rows);
        Matrix y = IsUsable(output) ? output : _output.SliceRows(0, input.Rows);
        if (x != input)
            _stream.Copy(input, x);
        GatedArguments arguments = Arguments(x, y);
        if (input.Rows <= GatedLinear.FewTokens)
            RunFew(arguments);
        else
            RunMany(arguments, x, y);
        if (y != output)
            _stream.Copy(y, output);
    }

    /// <summary>Waits until all passes are complete.</summary>
    public void Wait() => _stream.Wait();

    /// <inheritdoc/>
    public void Dispose()
    {
        try
        {
            _stream.Wait();
        }
        catch (DeviceException)
        {
            // A device that is lost has nothing to wait for.
        }

        foreach (BackendMatrix matrix in _layer.Concat(_pass))
            matrix.Dispose();
        _stream.Dispose();
    }

    private void RunFew(in GatedArguments arguments)
    {
        var action = new FewTokens(_stream, arguments);
        Codec.Select(_weights.Data.Type, _ups.Data.Type, action);
    }

    private void RunMany(in GatedArguments arguments, in Matrix input, in Matrix output)
    {
        Matrix products = _products.SliceRows(0, input.Rows), inner = _inner.SliceRows(0, input.Rows);
        if (_experts > 1)
            _stream.Multiply(input, _gates.Transposed, products, 1, 0);
        if (_experts > 0)
        {
            _stream.Choose(arguments);
            _stream.Multiply(input, _downs.Transposed, inner, 1, 0);
            _stream.Launch(GatedKernels.Weigh, arguments, (long)input.Rows * _inner.Columns);
        }

        _stream.Multiply(input, _weights.Transposed, output, 1, 0);
        if (_experts > 0)
            _stream.Multiply(inner, _ups.Transposed, output, 1, 1);
        _stream.Launch(GatedKernels.AddBiases, arguments, (long)input.Rows * output.Columns);
    }

    private GatedArguments Arguments(in Matrix input, in Matrix output) => new()
    {
        Weights = _stream.BringMatrix(_weights),
        Gates = _stream.BringMatrix(_gates),
        Downs = _stream.BringMatrix(_downs),
        Ups = _stream.BringMatrix(_ups),
        GateScales = View<float>(_scales),
        Biases = View<float>(_biases),
        Input = _stream.BringMatrix(input),
        Output = _stream.BringMatrix(output),
        Products = View<float>(_products),
        Inner = View<float>(_inner),
        Chosen = View<int>(_chosen),
        ChosenWeights = View<float>(_chosenWeights),
        ProductsStride = (int)_products.RowStride,
        InnerStride = (int)_inner.RowStride,
        Tokens = input.Rows,
        Experts = _experts,
        TopK = _topK,
        GateRank = _gateRank,
        Rank = _rank,
    };

    private ArrayView<T> View<T>(in Matrix matrix)
        where T : unmanaged => _backend.Memories.Find(matrix.Data.Address)!.From(matrix.Data.Address).Cast<T>();

    /// <summary>Makes room for a pass of so many tokens.</summary>
    private void Prepare(int tokens)
    {
        if (tokens <= _capacity)
            return;
        _stream.Wait();
        foreach (BackendMatrix matrix in _pass)
            matrix.Dispose();
        _pass.Clear();
        _capacity = 0;
        _input = New(_pass, ElementType.F32, tokens, _weights.Columns);
        _output = New(_pass, ElementType.F32, tokens, _weights.Rows);
        _products = New(_pass, ElementType.F32, tokens, _experts * _gateRank);
        _inner = New(_pass, ElementType.F32, tokens, _experts * _rank);
        _chosen = New(_pass, ElementType.F32, 1, tokens * _topK);
        _chosenWeights = New(_pass, ElementType.F32, 1, tokens * _topK);
        _capacity = tokens;
    }

    private Matrix New(List<BackendMatrix> owner, ElementType type, int rows, int columns)
    {
        var matrix = new BackendMatrix(_backend, type, rows, columns);
        owner.Add(matrix);
        return matrix.View;
    }

    private Matrix NewZeros(ElementType type, int rows, int columns)
    {
        Matrix matrix = New(_layer, type, rows, columns);
        _stream.Clear(matrix);
        return matrix;
    }

    /// <summary>Whether kernels can use a matrix of the device where it is: they read eight elements at once.</summary>
    private bool IsUsable(in Matrix matrix) =>
        _backend.Holds(matrix.Data) && matrix.RowStride % 8 == 0 && matrix.Data.Address % 16 == 0;

    private readonly struct FewTokens(IlgpuStream stream, GatedArguments arguments) : ICodecPairAction
    {
        public void Invoke<TFirst, TSecond>()
            where TFirst : struct, ICodec
            where TSecond : struct, ICodec
        {
            if (arguments.Experts > 1)
                Launch(GatedKernels.Score<StoredElements<TSecond>>, arguments.Gates.Rows, Few, arguments.Tokens);
            if (arguments.Experts > 0)
            {
                int places = arguments.Tokens * arguments.TopK;
                stream.Choose(arguments);
                Launch(GatedKernels.Shrink<StoredElements<TSecond>>, arguments.Rank, Few, places);
            }

            Launch(
                GatedKernels.Expand<StoredElements<TFirst>, StoredElements<TSecond>>,
                arguments.Weights.Rows, GatedKernels.Rows, arguments.Tokens);
        }

        private const int Few = GatedKernels.FewRows;

        private void Launch(Action<GatedArguments> kernel, int rows, int rowsOfGroup, int tokens) => stream.LaunchGrid(
            kernel, arguments, new Index2D(ProductTile.Count(rows, rowsOfGroup), tokens), GatedKernels.Threads);
    }
}
