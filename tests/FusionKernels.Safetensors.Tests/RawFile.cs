using System.Text;

namespace FusionKernels.Safetensors.Tests;

/// <summary>Safetensors files by hand, right or wrong.</summary>
internal static class RawFile
{
    /// <summary>The length of the header, the header as it is, and data bytes 0, 1, 2, …</summary>
    public static byte[] Of(string header, int dataLength = 0) => Of(Encoding.UTF8.GetBytes(header), dataLength);

    public static byte[] Of(byte[] header, int dataLength = 0) =>
    [
        .. BitConverter.GetBytes((long)header.Length),
        .. header,
        .. Enumerable.Range(0, dataLength).Select(i => (byte)i),
    ];

    /// <summary>One entry of a header.</summary>
    public static string Tensor(string name, string dtype, string shape, ulong begin, ulong end) =>
        $"\"{name}\":{{\"dtype\":\"{dtype}\",\"shape\":{shape},\"data_offsets\":[{begin},{end}]}}";

    /// <summary>A header of the given entries.</summary>
    public static string Header(params string[] entries) => "{" + string.Join(',', entries) + "}";

    /// <summary>A file with one U8 tensor for each name, of 8 bytes each.</summary>
    public static byte[] WithTensors(params string[] names) => Of(
        Header([.. names.Select((name, i) => Tensor(name, "U8", "[8]", 8 * (ulong)i, 8 * (ulong)i + 8))]),
        8 * names.Length);

    /// <summary>The error of a file, by way of memory.</summary>
    public static SafetensorsException Refused(byte[] file) =>
        Assert.Throws<SafetensorsException>(() => SafetensorsHeader.Parse(file, "x.safetensors"))!;
}
