using System.Buffers.Binary;
using System.Globalization;

namespace FusionKernels.Safetensors;

/// <summary>Writes headers byte by byte as the reference implementation does.</summary>
internal static class HeaderWriter
{
    public const string MetadataKey = "__metadata__";

    private const int Alignment = 8;

    /// <summary>
    /// The length, the compact JSON with <c>__metadata__</c> first (none if empty; keys in byte order, for which the
    /// reference has no rule), and spaces up to a multiple of 8.
    /// </summary>
    /// <exception cref="SafetensorsException">The header exceeds the format's limit.</exception>
    public static byte[] Write(
        IReadOnlyList<TensorInfo> tensors, IReadOnlyDictionary<string, string> metadata, string path)
    {
        var json = new JsonText();
        json.Raw(new string('\0', SafetensorsHeader.LengthBytes)).Raw("{");
        string separator = "";
        if (metadata.Count > 0)
        {
            json.SerdeString(MetadataKey).Raw(":{");
            foreach ((string key, string value) in metadata.OrderBy(entry => entry.Key, Utf8Order.Instance))
            {
                json.Raw(separator).SerdeString(key).Raw(":").SerdeString(value);
                separator = ",";
            }

            json.Raw("}");
            separator = ",";
        }

        foreach (TensorInfo tensor in tensors)
        {
            json.Raw(separator).SerdeString(tensor.Name);
            json.Raw(":{\"dtype\":\"").Raw(tensor.Dtype.WireName());
            json.Raw("\",\"shape\":[").Raw(string.Join(',', tensor.Shape));
            json.Raw(string.Create(
                CultureInfo.InvariantCulture, $"],\"data_offsets\":[{tensor.Begin},{tensor.End}]}}"));
            separator = ",";
        }

        json.Raw("}");
        json.Raw(new string(' ', -json.Length & (Alignment - 1)));

        byte[] header = json.ToArray();
        int length = header.Length - SafetensorsHeader.LengthBytes;
        if (length > SafetensorsHeader.MaxLength)
        {
            throw new SafetensorsException(
                FormatError.HeaderTooLarge,
                path,
                null,
                $"header of {length} bytes exceeds {SafetensorsHeader.MaxLength}");
        }

        BinaryPrimitives.WriteInt64LittleEndian(header, length);
        return header;
    }
}
