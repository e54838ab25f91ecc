namespace FusionKernels.Safetensors;

/// <summary>Bytes stored in a zip archive.</summary>
/// <param name="Begin">First byte in the file.</param>
/// <param name="Length">How many.</param>
internal readonly record struct ZipEntry(long Begin, long Length);
