namespace FusionKernels.Safetensors;

/// <summary>The ordinary files that turn up under the name of a safetensors file.</summary>
internal static class ForeignFile
{
    /// <summary>Says what the file is, as the beginning of a sentence; null if it is none of the known kinds.</summary>
    public static string? Recognise(ReadOnlySpan<byte> beginning)
    {
        if (beginning.IsEmpty) return "is an empty file";
        if (beginning.StartsWith("version https://git-lfs"u8))
        {
            return "is a Git LFS pointer (run 'git lfs pull' to get the weights)";
        }

        if (beginning.StartsWith("PK\x03\x04"u8)) return "is a zip archive, as torch.save writes (pickle)";
        if (beginning is [0x80, >= 2 and <= 5, ..]) return "is a Python pickle";
        if (beginning.StartsWith("GGUF"u8)) return "is a GGUF file";

        ReadOnlySpan<byte> text = beginning.TrimStart(" \t\r\n"u8);
        if (text.StartsWith("<"u8)) return "is an HTML or XML page, perhaps an error page of a download";
        if (text.StartsWith("{"u8)) return "is a JSON text";
        return null;
    }
}
