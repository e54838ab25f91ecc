using ILGPU;

namespace FusionKernels.Kernels.Ilgpu.DeviceCode;

/// <summary>Arguments of <see cref="RandomKernels.Words"/>.</summary>
/// <param name="stream">The stream of words.</param>
/// <param name="first">The first block.</param>
/// <param name="blocks">Receives the blocks.</param>
internal readonly struct WordsArguments(Philox stream, long first, ArrayView<Words4> blocks)
{
    public readonly Philox Stream = stream;
    public readonly long First = first;
    public readonly ArrayView<Words4> Blocks = blocks;
}

/// <summary>The random family: a block of four words to a thread, all ten rounds in registers.</summary>
internal static class RandomKernels
{
    public static void Words(WordsArguments arguments)
    {
        for (long i = Grid.LongGlobalIndex.X; i < arguments.Blocks.Length; i += GridStride.X)
        {
            var block = arguments.Stream.Block((ulong)(arguments.First + i));
            arguments.Blocks[i] = new Words4(block.W0, block.W1, block.W2, block.W3);
        }
    }
}
