using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using FusionKernels.Kernels;
using FusionKernels.Kernels.Cpu;
using FusionKernels.Recipes;

namespace FusionKernels.Benchmarks.Ratios;

/// <summary>
/// Forward passes of a SMILE layer, 4096 inputs to 14336 outputs in bf16 with 8 experts of rank 64, router rank 8 and
/// one expert per token: against the same product without experts, for one token and for 256, and the product without
/// experts for one token against reading its weights. And the construction of a whole model's layers, against the three
/// minutes that it may take.
/// </summary>
internal static class Smile
{
    private const int Threads = 2, Inputs = 4096, Outputs = 14336, Experts = 8, Rank = 64, GateRank = 8;

    // A tenth of a second, so that a pause of the machine is not the whole of a run.
    private const int DecodeRepetitions = 32;

    private const double ConstructionSeconds = 180;
    private const string Construction = "construction";

    // Small enough to be multiplied out in doubles; 4/5 of an expert's change is of rank 16.
    private const string CheckedLayer = "model.layers.3.self_attn.k_proj";
    private const double LeastCaptured = 0.8;

    /// <summary>Measures the ratios one by one; the case <c>construction</c> alone needs the checkpoint set.</summary>
    public static IEnumerable<Ratio> Measure(RatioOptions options)
    {
        IEnumerable<Ratio> passes = options.Case == Construction ? [] : MeasurePasses();
        return options.Case is null or Construction ? passes.Append(Construct(options)) : passes;
    }

    private static IEnumerable<Ratio> MeasurePasses()
    {
        using var backend = new CpuBackend();
        using var team = new StreamTeam(backend, Threads);
        using var memory = new Memory();
        var plain = new GatedLinear(memory.Weights, default, [], 0);
        var smile = new GatedLinear(memory.Weights, default, memory.Experts, 1);
        var forward = new GatedForward(team);
        Matrix one = memory.Input.View.SliceRows(0, 1), oneOutput = memory.Output.View.SliceRows(0, 1);

        yield return Compare(
            "decode", 1 / 1.10, "the same without experts, 1 token", DecodeRepetitions,
            () => forward.Run(plain, one, oneOutput), () => forward.Run(smile, one, oneOutput));
        Check(memory, forward.Routing, 1);
        yield return Compare(
            "prefill", 1 / 1.15, "W's product alone, 256 tokens", 1,
            () => team.Multiply(memory.Input.View, memory.Weights.Transposed, memory.Output.View),
            () => forward.Run(smile, memory.Input.View, memory.Output.View));
        Check(memory, forward.Routing, Memory.Tokens);
        yield return Compare(
            "bandwidth", 0.80, "reading W, 1 token, no experts", DecodeRepetitions,
            () => team.Run(Memory.Blocks, memory.ReadBlock), () => forward.Run(plain, one, oneOutput));
    }

    /// <summary>Upscales the checkpoint set once: router rank 8, experts of rank 64.</summary>
    private static Ratio Construct(RatioOptions options)
    {
        var set = CheckpointSet.OpenOrCreate(options.Set);
        string output = Path.Combine(options.Out, $"fusionkernels-smile-{Environment.ProcessId}");
        var recipe = set.Experts.Aggregate(Recipe.For("smile").WithBase(set.Base), (r, expert) => r.Add(expert))
            .With("gate_k", GateRank).With("k", Rank);
        try
        {
            using var memory = new AnonymousMemory();
            long start = Stopwatch.GetTimestamp();
            Merge.RunAsync(recipe, output, new MergeOptions { Threads = Threads }).GetAwaiter().GetResult();
            double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
            memory.Dispose();
            Check(set, output);
            return new Ratio($"smile/{Construction}", seconds, "three minutes", ConstructionSeconds, 1)
            {
                PeakAnonymousMib = memory.PeakMib,
            };
        }
        finally
        {
            if (Directory.Exists(output))
                Directory.Delete(output, recursive: true);
        }
    }

    /// <summary>
    /// Multiplies an expert out: what it has of the change and what it lacks are orthogonal, and it has most.
    /// </summary>
    private static void Check(CheckpointSet set, string output)
    {
        float[] origin = Bf16.Read(set.Base, CheckedLayer + ".weight");
        float[] expert = Bf16.Read(set.Experts[1], CheckedLayer + ".weight");
        float[] up = Bf16.Read(output, CheckedLayer + ".experts.1.u");
        float[] down = Bf16.Read(output, CheckedLayer + ".experts.1.svh");
        int columns = down.Length / Rank;
        double all = 0, has = 0, lacks = 0;
        for (int i = 0; i < origin.Length; i++)
        {
            double delta = expert[i] - origin[i], product = 0;
            for (int r = 0; r < Rank; r++)
                product += up[(i / columns * Rank) + r] * down[(r * columns) + (i % columns)];
            (all, has) = (all + (delta * delta), has + (product * product));
            lacks += (delta - product) * (delta - product);
        }

        Console.Error.WriteLine($"smile/{Construction}: an expert of {CheckedLayer} has {has / all:P1} of the change");
        if (!(Math.Abs(all - has - lacks) <= 0.01 * all && has >= LeastCaptured * all))
            throw new WrongResultException($"smile: {CheckedLayer}: {has:G4} and {lacks:G4} are no parts of {all:G4}");
    }

    private static Ratio Compare(
        string name, double target, string anchorName, int repetitions, Action anchor, Action ours)
    {
        var pairs = Pairs.Measure(() => Seconds(anchor, repetitions), () => Seconds(ours, repetitions));
        Console.Error.WriteLine(
            $"smile/{name}: anchor {string.Join(" ", pairs.Anchor.Select(s => $"{s * 1e3:F3}"))} ms, "
            + $"ours {string.Join(" ", pairs.Ours.Select(s => $"{s * 1e3:F3}"))} ms");
        return new Ratio($"smile/{name}", Pairs.Median(pairs.Ours), anchorName, Pairs.Median(pairs.Anchor), target);
    }

    private static double Seconds(Action action, int repetitions)
    {
        long start = Stopwatch.GetTimestamp();
        for (int i = 0; i < repetitions; i++)
            action();
        return Stopwatch.GetElapsedTime(start).TotalSeconds / repetitions;
    }

    /// <summary>Some outputs of the last pass again, in doubles.</summary>
    private static void Check(Memory memory, Routing routing, int tokens)
    {
        for (int i = 0; i < 64; i++)
        {
            int token = i * 37 % tokens, output = i * 7919 % Outputs;
            Expert expert = memory.Experts[routing.Chosen[token]];
            double sum = 0, size = 0;
            for (int k = 0; k < Inputs; k++)
                Add(memory.Bf16(memory.Weights, output, k) * X(k));
            for (int r = 0; r < Rank; r++)
            {
                double inner = 0;
                for (int k = 0; k < Inputs; k++)
                    inner += memory.Bf16(expert.Down, r, k) * X(k);
                Add(memory.Bf16(expert.Up, output, r) * inner);
            }

            float computed = memory.Output[token, output];
            if (!(Math.Abs(computed - sum) <= 1e-5 * size))
                throw new WrongResultException($"smile: token {token}, output {output} is {computed}, not {sum}");

            double X(int k) => memory.Input[token, k];

            void Add(double term) => (sum, size) = (sum + term, size + Math.Abs(term));
        }
    }

    /// <summary>The layer's weights and activations, normal numbers from fixed seeds.</summary>
    private sealed unsafe class Memory : IDisposable
    {
        public const int Tokens = 256;

        /// <summary>Blocks that W is read in.</summary>
        public const int Blocks = Outputs * Inputs / BlockBytes * sizeof(ushort);

        private const int BlockBytes = 1 << 20;
        private readonly List<nint> _allocations = [];

        public Memory()
        {
            Weights = Random(Outputs, Inputs);
            Experts = [.. Enumerable.Range(0, Smile.Experts).Select(_ => new Expert(Random(Outputs, Rank))
            {
                Down = Random(Rank, Inputs),
                Gate = Random(GateRank, Inputs),
            })];
            for (int token = 0; token < Tokens; token++)
                Normals.Fill(Input.Row(token), Normals.Seed(-1, token));
        }

        public Matrix Weights { get; }

        public Expert[] Experts { get; }

        public DenseMatrix<float> Input { get; } = new(Tokens, Inputs);

        public DenseMatrix<float> Output { get; } = new(Tokens, Outputs);

        /// <summary>Loads every register of a block once, in four independent sums.</summary>
        public void ReadBlock(IKernelStream stream, int block)
        {
            byte* first = (byte*)Weights.Data.Address + ((nint)block * BlockBytes);
            Vector512<long> a = default, b = default, c = default, d = default;
            for (byte* at = first; at < first + BlockBytes; at += 256)
            {
                a += Vector512.Load((long*)at);
                b += Vector512.Load((long*)(at + 64));
                c += Vector512.Load((long*)(at + 128));
                d += Vector512.Load((long*)(at + 192));
            }

            GC.KeepAlive(Vector512.Sum(a + b + c + d) == 0 ? this : null);
        }

        public double Bf16(in Matrix matrix, int row, int column) => BitConverter.UInt32BitsToSingle(
            (uint)((ushort*)matrix.Data.Address)[((long)row * matrix.Columns) + column] << 16);

        public void Dispose()
        {
            Input.Dispose();
            Output.Dispose();
            foreach (nint allocation in _allocations)
                NativeMemory.AlignedFree((void*)allocation);
        }

        private Matrix Random(int rows, int columns)
        {
            float[] values = new float[rows * columns];
            Normals.Fill(values, Normals.Seed(_allocations.Count));
            void* address = NativeMemory.AlignedAlloc((nuint)values.Length * sizeof(ushort), 4096);
            _allocations.Add((nint)address);
            Ratios.Bf16.Round(values, new Span<ushort>(address, values.Length));
            return new Matrix(new Operand(ElementType.BF16, address), rows, columns);
        }
    }
}
