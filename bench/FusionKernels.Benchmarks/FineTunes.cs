using System.Runtime.CompilerServices;
using FusionKernels.Kernels;

namespace FusionKernels.Benchmarks;

/// <summary>A bf16 base and fine-tuned models, whose deltas are normal and about a hundredth of the weights.</summary>
internal sealed unsafe class FineTunes
{
    private readonly List<ushort[]> _memory = [];

    public FineTunes(int elements, int models)
    {
        var random = new Random(1);
        Base = New(elements);
        Models = [.. Enumerable.Range(0, models).Select(_ => new Source(New(elements)))];
        for (int i = 0; i < elements; i++)
        {
            float weight = 0.02f * Normal(random);
            ((ushort*)Base.Address)[i] = Round(weight);
            foreach (Source model in Models)
                ((ushort*)model.Data.Address)[i] = Round(weight + (0.0002f * Normal(random)));
        }

        Elements = elements;
    }

    public int Elements { get; }

    public Operand Base { get; }

    public Source[] Models { get; }

    public Chunk Chunk => new() { First = 0, Length = Elements, Base = Base, Sources = Models };

    private static float Normal(Random random) =>
        (float)(Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(Math.Tau * random.NextDouble()));

    private static ushort Round(float value)
    {
        uint bits = BitConverter.SingleToUInt32Bits(value);
        return (ushort)((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
    }

    private Operand New(int elements)
    {
        // SAFETY: pinned for its whole life, which this object's life covers.
        _memory.Add(GC.AllocateUninitializedArray<ushort>(elements, pinned: true));
        return new Operand(ElementType.BF16, Unsafe.AsPointer(ref _memory[^1][0]));
    }
}
