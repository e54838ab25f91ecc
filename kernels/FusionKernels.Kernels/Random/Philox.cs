using System.Text;

namespace FusionKernels.Kernels;

/// <summary>
/// One stream of the counter-based generator Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2,
/// 3", SC 2011). Key = the seed (low, high word). Counter = (block low, block high, stream low, stream high). Element i
/// of a tensor uses word i mod 4 of block i div 4, so a draw depends on seed, stream and element and on nothing else.
/// </summary>
/// <param name="Seed">The key.</param>
/// <param name="Stream">The upper half of the counter, see <see cref="ForTensor"/>.</param>
public readonly record struct Philox(ulong Seed, ulong Stream)
{
    internal const uint Multiplier0 = 0xD2511F53, Multiplier1 = 0xCD9E8D57, Weyl0 = 0x9E3779B9, Weyl1 = 0xBB67AE85;
    internal const int Rounds = 10;

    /// <summary>
    /// The stream of a tensor in one model of a merge: FNV-1a (64 bits) over the UTF-8 bytes of the tensor's name, a
    /// NUL, and the model's ordinal (decimal digits, the first non-base model of the recipe is 0).
    /// </summary>
    public static Philox ForTensor(ulong seed, string tensor, int modelOrdinal)
    {
        ulong hash = 0xcbf29ce484222325;
        foreach (byte b in Encoding.UTF8.GetBytes($"{tensor}\0{modelOrdinal}"))
            hash = (hash ^ b) * 0x100000001b3;
        return new Philox(seed, hash);
    }

    /// <summary>The four words of a block.</summary>
    public (uint W0, uint W1, uint W2, uint W3) Block(ulong block)
    {
        uint c0 = (uint)block, c1 = (uint)(block >> 32), c2 = (uint)Stream, c3 = (uint)(Stream >> 32);
        uint k0 = (uint)Seed, k1 = (uint)(Seed >> 32);
        for (int round = 0; round < Rounds; round++)
        {
            ulong p0 = (ulong)Multiplier0 * c0, p1 = (ulong)Multiplier1 * c2;
            (c0, c1, c2, c3) = ((uint)(p1 >> 32) ^ c1 ^ k0, (uint)p1, (uint)(p0 >> 32) ^ c3 ^ k1, (uint)p0);
            k0 += Weyl0;
            k1 += Weyl1;
        }

        return (c0, c1, c2, c3);
    }

    /// <summary>The word of element <paramref name="element"/>.</summary>
    public uint Word(long element)
    {
        var (w0, w1, w2, w3) = Block((ulong)element >> 2);
        return (element & 3) switch { 0 => w0, 1 => w1, 2 => w2, _ => w3 };
    }
}
