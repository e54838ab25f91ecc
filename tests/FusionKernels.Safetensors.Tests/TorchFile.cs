using System.Buffers.Binary;
using System.Text;

namespace FusionKernels.Safetensors.Tests;

/// <summary>
/// Files of torch.save by hand: the instructions of a pickle, and the archive around them. Right by default, wrong where
/// a test wants it.
/// </summary>
internal sealed class TorchFile
{
    private readonly List<byte> pickle = [0x80, 2];
    private readonly List<(string Name, byte[] Bytes)> entries = [];

    /// <summary>A state dict with the given tensors: U8 elements 0, 1, 2, …, each in a storage of its own.</summary>
    public static TorchFile WithTensors(params string[] names)
    {
        TorchFile file = new TorchFile().Op("}(");
        for (int i = 0; i < names.Length; i++)
        {
            byte[] data = [.. Enumerable.Range(0, 8).Select(b => (byte)b)];
            file.Text(names[i]).Tensor("ByteStorage", $"{i}", 8, 0, [8], [1]).Storage($"{i}", data);
        }

        return file.Op("u.");
    }

    /// <summary>Instructions without arguments, by their letters.</summary>
    public TorchFile Op(string letters)
    {
        pickle.AddRange(Encoding.Latin1.GetBytes(letters));
        return this;
    }

    /// <summary>A string.</summary>
    public TorchFile Text(string text)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(text);
        Span<byte> length = stackalloc byte[4];
        BinaryPrimitives.WriteInt32LittleEndian(length, bytes.Length);
        pickle.AddRange([(byte)'X', .. length, .. bytes]);
        return this;
    }

    /// <summary>A number of up to 64 bits.</summary>
    public TorchFile Number(long value)
    {
        Span<byte> bytes = stackalloc byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(bytes, value);
        pickle.AddRange([0x8A, 8, .. bytes]);
        return this;
    }

    /// <summary>A class or function.</summary>
    public TorchFile Global(string module, string name) => Op($"c{module}\n{name}\n");

    /// <summary>A tensor over a storage, as torch 1.6 to 2.x describes it.</summary>
    public TorchFile Tensor(string storage, string key, long count, long offset, long[] shape, long[] strides)
    {
        Global("torch._utils", "_rebuild_tensor_v2").Op("((").Text("storage").Global("torch", storage);
        Text(key).Text("cpu").Number(count).Op("tQ").Number(offset).Op("(");
        foreach (long dimension in shape) Number(dimension);
        Op("t(");
        foreach (long stride in strides) Number(stride);
        return Op("t\x89").Global("collections", "OrderedDict").Op(")RtR");
    }

    /// <summary>The bytes of a storage.</summary>
    public TorchFile Storage(string key, params byte[] bytes) => Entry("data/" + key, bytes);

    /// <summary>An entry of the archive, below its folder.</summary>
    public TorchFile Entry(string name, params byte[] bytes)
    {
        entries.Add((name, bytes));
        return this;
    }

    /// <summary>The file; <paramref name="wide"/> writes its numbers as those beyond 4 GiB.</summary>
    public byte[] ToArray(bool wide = false, ushort method = 0)
    {
        var file = new List<byte>();
        var directory = new List<byte>();
        foreach ((string name, byte[] bytes) in entries.Prepend(("data.pkl", [.. pickle])))
        {
            byte[] path = Encoding.UTF8.GetBytes("archive/" + name);
            int header = file.Count;
            file.AddRange([.. U32(0x04034B50), .. new byte[22], .. U16(path.Length), .. U16(3), .. path, 1, 2, 3]);
            file.AddRange(bytes);
            directory.AddRange([.. U32(0x02014B50), .. new byte[6], .. U16(method), .. new byte[8]]);
            byte[] size = U64(bytes.Length), smallSize = U32(wide ? -1 : bytes.Length);
            byte[] extra = wide
                ? [.. U16(99), .. U16(1), 7, .. U16(1), .. U16(24), .. size, .. size, .. U64(header)]
                : [];
            directory.AddRange([.. smallSize, .. smallSize, .. U16(path.Length)]);
            directory.AddRange([.. U16(extra.Length), .. new byte[10], .. U32(wide ? -1 : header), .. path, .. extra]);
        }

        int begin = file.Count, count = entries.Count + 1;
        file.AddRange(directory);
        if (wide)
        {
            long end = file.Count;
            file.AddRange([.. U32(0x06064B50), .. U64(44), .. new byte[20]]);
            file.AddRange([.. U64(count), .. U64(directory.Count), .. U64(begin)]);
            file.AddRange([.. U32(0x07064B50), .. U32(0), .. U64(end), .. U32(1)]);
        }

        file.AddRange([.. U32(0x06054B50), .. U32(0), .. U16(wide ? -1 : count), .. U16(wide ? -1 : count)]);
        file.AddRange([.. U32(wide ? -1 : directory.Count), .. U32(wide ? -1 : begin), .. U16(0)]);
        return [.. file];
    }

    private static byte[] U16(int value) => BitConverter.GetBytes((ushort)value);

    private static byte[] U32(int value) => BitConverter.GetBytes(value);

    private static byte[] U64(long value) => BitConverter.GetBytes(value);
}
