using FusionKernels.Safetensors;

namespace FusionKernels.Tests.InMemory;

/// <summary>
/// A device that fails at chosen calls. What the failing call was to change is changed, changed in part, or not, as
/// far as its contract allows: a final name is never half there, an unfinished file or a journal's end may be.
/// </summary>
/// <param name="device">Where the bytes are.</param>
/// <param name="fails">Whether a call fails, by its number from 1 on and what it does.</param>
/// <param name="random">Decides how far a failing call comes.</param>
internal sealed class UnreliableStore(MemoryStore device, Func<int, string, bool> fails, Random random) : IOutputStore
{
    /// <summary>Calls so far.</summary>
    public int Calls { get; private set; }

    public long FreeBytes
    {
        get
        {
            Call("ask for space");
            return device.FreeBytes;
        }
    }

    /// <summary>
    /// A power cut: of each file that was not published all is gone, or some blocks are there and others are zero.
    /// </summary>
    public void LoseUnsynced()
    {
        const int Block = 64;
        foreach (string name in device.Files.Keys.Where(n => n.EndsWith(IOutputStore.PartialSuffix)).ToArray())
        {
            if (random.Next(3) == 0)
            {
                device.Delete(name);
                continue;
            }

            byte[] bytes = device[name];
            for (int begin = 0; begin < bytes.Length; begin += Block)
            {
                if (random.Next(2) == 0)
                    bytes.AsSpan(begin, Math.Min(Block, bytes.Length - begin)).Clear();
            }
        }
    }

    public IReadOnlyList<string> List()
    {
        Call("list");
        return device.List();
    }

    public bool Exists(string name)
    {
        Call("look for " + name);
        return device.Exists(name);
    }

    public IOutputFile CreatePartial(string name, long length)
    {
        Call("create " + name, Perhaps(() => device.CreatePartial(name, length).Dispose()));
        return new UnreliableFile(this, name, device.CreatePartial(name, length));
    }

    public IOutputFile OpenPartial(string name)
    {
        Call("open " + name);
        return new UnreliableFile(this, name, device.OpenPartial(name));
    }

    public IOutputFile OpenPublished(string name)
    {
        Call("open " + name);
        return new UnreliableFile(this, name, device.OpenPublished(name));
    }

    public void Publish(string name)
    {
        Call("publish " + name, Perhaps(() => device.Publish(name)));
        device.Publish(name);
    }

    public void Delete(string name)
    {
        Call("delete " + name, Perhaps(() => device.Delete(name)));
        device.Delete(name);
    }

    public byte[] ReadAll(string name)
    {
        Call("read " + name);
        return device.ReadAll(name);
    }

    public void WriteAll(string name, ReadOnlySpan<byte> content)
    {
        byte[] bytes = content.ToArray();
        Call("write " + name, () =>
        {
            if (random.Next(2) == 0)
                device.WriteAll(name, bytes);
            else
                device[name + IOutputStore.PartialSuffix] = bytes[..random.Next(bytes.Length + 1)];
        });
        device.WriteAll(name, content);
    }

    public void Append(string name, ReadOnlySpan<byte> content)
    {
        byte[] bytes = content.ToArray();
        Call("append to " + name, () => device.Append(name, bytes.AsSpan(0, random.Next(bytes.Length + 1))));
        device.Append(name, content);
    }

    public IDisposable Lock(string name)
    {
        Call("lock " + name);
        return device.Lock(name);
    }

    private int Draw(int end) => random.Next(end);

    private Action Perhaps(Action action) => () =>
    {
        if (random.Next(2) == 0)
            action();
    };

    private void Call(string what, Action? halfway = null)
    {
        if (!fails(++Calls, what))
            return;
        halfway?.Invoke();
        throw new IOException($"the device failed at call {Calls}, to {what}");
    }

    private sealed class UnreliableFile(UnreliableStore store, string name, IOutputFile file) : IOutputFile
    {
        public long Length => file.Length;

        public int Read(long offset, Span<byte> destination)
        {
            store.Call("read " + name);
            return file.Read(offset, destination);
        }

        public void Write(long offset, ReadOnlySpan<byte> content)
        {
            byte[] bytes = content.ToArray();
            store.Call("write " + name, () => file.Write(offset, bytes.AsSpan(0, store.Draw(bytes.Length + 1))));
            file.Write(offset, content);
        }

        public void FlushToDisk()
        {
            store.Call("flush " + name);
            file.FlushToDisk();
        }

        public void Dispose() => file.Dispose();
    }
}
