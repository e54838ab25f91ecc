namespace FusionKernels.Kernels;

/// <summary>
/// A device ran out of memory or was lost. What the call was to write is undefined, its inputs are as they were;
/// another backend can do the same.
/// </summary>
public sealed class DeviceException : Exception
{
    /// <summary>With a message for people, one line that names the device.</summary>
    public DeviceException(string message, Exception? cause = null)
        : base(message, cause)
    {
    }

    /// <summary>Whether only memory was missing: the device goes on with calls that need less.</summary>
    public bool IsOutOfMemory { get; init; }
}
