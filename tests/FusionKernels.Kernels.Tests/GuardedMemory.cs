using System.Runtime.InteropServices;

namespace FusionKernels.Kernels.Tests;

/// <summary>
/// Memory that ends where an inaccessible page begins, so that reading or writing one byte too many stops the test run
/// (on Linux; elsewhere plain memory). The bytes before the first are a pattern that <see cref="Dispose"/> checks.
/// </summary>
internal sealed unsafe class GuardedMemory : IDisposable
{
    private const int Page = 4096, Before = 64;
    private const byte Pattern = 0xC5;
    private readonly byte* _region;
    private readonly nuint _size;

    public GuardedMemory(int bytes)
    {
        nuint body = (nuint)((bytes + Before + Page - 1) / Page * Page);
        _size = body + Page;
        if (OperatingSystem.IsLinux())
        {
            // PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS; then PROT_NONE for the last page.
            _region = (byte*)mmap(0, _size, 3, 0x22, -1, 0);
            if (_region == (byte*)-1 || mprotect((nint)(_region + body), Page, 0) != 0)
                throw new InvalidOperationException("No guarded memory.");
        }
        else
        {
            _region = (byte*)NativeMemory.Alloc(_size);
        }

        Bytes = bytes;
        Address = _region + body - bytes;
        new Span<byte>(Address - Before, Before).Fill(Pattern);
    }

    public byte* Address { get; }

    public int Bytes { get; }

    public Span<byte> Span => new(Address, Bytes);

    public void Dispose()
    {
        bool intact = new ReadOnlySpan<byte>(Address - Before, Before).IndexOfAnyExcept(Pattern) < 0;
        if (OperatingSystem.IsLinux())
            _ = munmap((nint)_region, _size);
        else
            NativeMemory.Free(_region);
        Assert.That(intact, "bytes before the first were written");
    }

    [DllImport("libc", SetLastError = true)]
    private static extern nint mmap(nint address, nuint length, int protection, int flags, int file, nint offset);

    [DllImport("libc")]
    private static extern int mprotect(nint address, nuint length, int protection);

    [DllImport("libc")]
    private static extern int munmap(nint address, nuint length);
}
