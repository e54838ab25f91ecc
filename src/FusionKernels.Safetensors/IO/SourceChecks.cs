namespace FusionKernels.Safetensors;

/// <summary>The checks that both kinds of source make.</summary>
internal static class SourceChecks
{
    public static void ThrowIfOutside(long offset, long length, long fileLength)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(offset, fileLength);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(length, fileLength - offset);
    }

    public static void ThrowIfChanged(string path, SourceStamp opened, bool noFollow)
    {
        SourceStamp now;
        try
        {
            now = RegularFile.Stamp(path, noFollow);
        }
        catch (SourceUnavailableException e)
        {
            throw new SourceChangedException(path, e.Message);
        }

        if (now != opened) throw new SourceChangedException(path, opened.DifferenceTo(now));
    }
}
