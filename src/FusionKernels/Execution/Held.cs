namespace FusionKernels.Execution;

/// <summary>A value that exists while someone holds it; what an <see cref="IHeld"/> is made of.</summary>
/// <typeparam name="T">The value's type; the last holder disposes it.</typeparam>
internal sealed class Held<T>
    where T : class, IDisposable
{
    private readonly Lock _gate = new();
    private T? _value;
    private int _holders;

    /// <summary>The value, or <c>null</c> while nobody holds it.</summary>
    public T? Value => _value;

    /// <summary>Makes the value unless it exists, and counts a holder.</summary>
    public void Hold(Func<T> make)
    {
        lock (_gate)
        {
            _value ??= make();
            _holders++;
        }
    }

    /// <summary>Counts a holder off.</summary>
    public void Release()
    {
        lock (_gate)
        {
            if (--_holders > 0)
                return;
            _value!.Dispose();
            _value = null;
        }
    }
}
