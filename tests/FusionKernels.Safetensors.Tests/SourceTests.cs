using System.Diagnostics;
using System.Net.Sockets;
using System.Runtime.InteropServices;

namespace FusionKernels.Safetensors.Tests;

/// <summary>What may be opened, how bytes are reached, and what happens when a file changes underneath.</summary>
[TestFixture]
[FixtureLifeCycle(LifeCycle.InstancePerTestCase)]
public sealed class SourceTests : IDisposable
{
    private static readonly SourceAccess[] Accesses = [SourceAccess.Map, SourceAccess.Read];

    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Test]
    public void A_missing_file_and_a_folder_are_unavailable()
    {
        Assert.That(Unavailable(folder["gone"]).Message, Does.EndWith("does not exist"));
        Assert.That(Unavailable(folder.Root).Message, Does.Contain("is a folder"));
        Assert.That(Unavailable(folder.Root).Path, Is.EqualTo(folder.Root));
    }

    [Test]
    [Platform("Linux")]
    [CancelAfter(20_000)]
    public void A_fifo_is_refused_at_once_also_behind_a_link()
    {
        using (var mkfifo = Process.Start("mkfifo", folder["pipe.safetensors"])) mkfifo.WaitForExit();
        File.CreateSymbolicLink(folder["link.safetensors"], "pipe.safetensors");
        Assert.That(Unavailable(folder["pipe.safetensors"]).Message, Does.Contain("is a FIFO"));
        Assert.That(Unavailable(folder["link.safetensors"]).Message, Does.Contain("is a FIFO"));
        folder.Write("model.safetensors.index.json", """{"weight_map":{"a":"pipe.safetensors"}}"""u8);
        Assert.Throws<SourceUnavailableException>(() => Checkpoint.Open(folder.Root));
    }

    [Test]
    [Platform("Linux")]
    public void Devices_and_sockets_are_refused()
    {
        Assert.That(Unavailable("/dev/zero").Message, Does.Contain("is a device"));
        using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        socket.Bind(new UnixDomainSocketEndPoint(folder["s"]));
        Unavailable(folder["s"]);
    }

    [Test]
    [Platform("Linux")]
    public void Links_that_lead_nowhere_are_refused()
    {
        File.CreateSymbolicLink(folder["dangling"], "gone");
        File.CreateSymbolicLink(folder["loop"], "loop");
        File.CreateSymbolicLink(folder["folder"], folder.Root);
        Assert.That(Unavailable(folder["dangling"]).Message, Does.EndWith("is a symbolic link to nothing"));
        Assert.That(Unavailable(folder["loop"]).Message, Does.Contain("circles"));
        Assert.That(Unavailable(folder["folder"]).Message, Does.Contain("is a folder"));
    }

    [Test]
    [Platform("Linux")]
    public void A_link_is_followed_unless_that_is_forbidden()
    {
        folder.Write("file", RawFile.WithTensors("a"));
        File.CreateSymbolicLink(folder["link"], "file");
        using (SafetensorsFile file = SafetensorsFile.Open(folder["link"])) file.Source.CheckUnchanged();
        var noFollow = new SafetensorsOptions { NoFollow = true };
        Assert.Throws<SourceUnavailableException>(() => SafetensorsFile.Open(folder["link"], noFollow));
        using (SafetensorsFile file = SafetensorsFile.Open(folder["file"], noFollow)) file.Source.CheckUnchanged();
    }

    [Test]
    [Platform("Linux")]
    public void A_file_without_permission_is_unavailable()
    {
        if (OperatingSystem.IsWindows()) return;
        if (Environment.IsPrivilegedProcess) Assert.Ignore("root may read everything: run this as another user");
        File.SetUnixFileMode(folder.Write("secret", RawFile.WithTensors("a")), UnixFileMode.None);
        Assert.That(Unavailable(folder["secret"]).Message, Does.Contain("permission denied"));
    }

    [Test]
    public void Auto_maps_a_local_file()
    {
        folder.Write("model.safetensors", RawFile.WithTensors("a"));
        using SafetensorsFile file = SafetensorsFile.Open(folder["model.safetensors"]);
        Assert.That(file.Source.IsMapped, Is.EqualTo(OperatingSystem.IsLinux()));
    }

    [Test]
    public unsafe void A_map_needs_no_scratch_and_a_read_fills_it()
    {
        string path = folder.Write("model.safetensors", RawFile.WithTensors("a"));
        byte* scratch = stackalloc byte[8];
        new Span<byte>(scratch, 8).Fill(0xee);
        using (SafetensorsFile file = SafetensorsFile.Open(path, new() { Access = SourceAccess.Read }))
        {
            TensorInfo tensor = file.Header.Tensors[0];
            Assert.That((nint)file.Fetch(tensor, 2, 5, scratch), Is.EqualTo((nint)scratch));
            byte[] filled = new Span<byte>(scratch, 8).ToArray();
            Assert.That(filled, Is.EqualTo(new byte[] { 2, 3, 4, 5, 6, 0xee, 0xee, 0xee }));
        }

        if (!OperatingSystem.IsLinux()) return;
        using (SafetensorsFile file = SafetensorsFile.Open(path, new() { Access = SourceAccess.Map }))
        {
            byte* bytes = file.Fetch(file.Header.Tensors[0], 2, 5, null);
            Assert.That(new Span<byte>(bytes, 5).ToArray(), Is.EqualTo(new byte[] { 2, 3, 4, 5, 6 }));
        }
    }

    [Test]
    public unsafe void A_range_outside_the_file_is_refused([ValueSource(nameof(Accesses))] SourceAccess access)
    {
        string path = folder.Write("model.safetensors", RawFile.WithTensors("a"));
        using SafetensorsFile file = SafetensorsFile.Open(path, new() { Access = access });
        IShardSource source = file.Source;
        foreach ((long offset, long length) in new[] { (-1L, 1L), (0, -1), (source.Length, 1), (0, source.Length + 1),
            (long.MaxValue, long.MaxValue) })
        {
            Assert.Throws<ArgumentOutOfRangeException>(() => source.Fetch(offset, (nint)length, null));
            Assert.Throws<ArgumentOutOfRangeException>(() => source.Prefetch(offset, length));
            Assert.Throws<ArgumentOutOfRangeException>(() => source.Forget(offset, length));
        }
    }

    [Test]
    public void Hints_change_no_byte([ValueSource(nameof(Accesses))] SourceAccess access)
    {
        byte[] content = RawFile.Of(RawFile.Header(RawFile.Tensor("a", "U8", "[100000]", 0, 100_000)), 100_000);
        using SafetensorsFile file = SafetensorsFile.Open(folder.Write("f", content), new() { Access = access });
        byte[] before = new byte[100_000], after = new byte[100_000];
        file.Source.Prefetch(0, file.Source.Length);
        file.Read(file.Header.Tensors[0], 0, before);
        foreach (long offset in new long[] { 0, 1, 4095, 4096, 5000, content.Length })
        {
            file.Source.Forget(offset, content.Length - offset);
            file.Source.Forget(offset, 0);
            file.Read(file.Header.Tensors[0], 0, after);
            Assert.That(after, Is.EqualTo(before));
        }
    }

    [Test]
    public void Many_threads_may_read_one_file_and_more_files_than_descriptors_are_kept()
    {
        const int Files = DescriptorCache.Capacity + 20;
        SafetensorsFile[] files = [.. Enumerable.Range(0, Files).Select(i => SafetensorsFile.Open(
            folder.Write($"{i}", RawFile.WithTensors("a", "b", "c")), new() { Access = SourceAccess.Read }))];
        Parallel.For(0, 20 * Files, new() { MaxDegreeOfParallelism = 4 }, i =>
        {
            SafetensorsFile file = files[i % Files];
            byte[] bytes = new byte[8];
            file.Read(file.Header.Tensors[i % 3], 0, bytes);
            Assert.That(bytes[0], Is.EqualTo(i % 3 * 8));
        });
        foreach (SafetensorsFile file in files) file.Dispose();
        Assert.Throws<ObjectDisposedException>(() => files[0].Read(files[0].Header.Tensors[0], 0, new byte[1]));
    }

    [Test]
    public unsafe void A_closed_map_gives_no_pointer()
    {
        SafetensorsFile file = SafetensorsFile.Open(folder.Write("f", RawFile.WithTensors("a")));
        file.Dispose();
        Assert.Throws<ObjectDisposedException>(() => file.Fetch(file.Header.Tensors[0], 0, 1, null));
        file.Dispose();
    }

    [Test]
    public void An_unchanged_file_is_unchanged([ValueSource(nameof(Accesses))] SourceAccess access)
    {
        string path = folder.Write("f", RawFile.WithTensors("a"));
        using SafetensorsFile file = SafetensorsFile.Open(path, new() { Access = access });
        file.Read(file.Header.Tensors[0], 0, new byte[8]);
        Assert.DoesNotThrow(file.Source.CheckUnchanged);
        Assert.That(SourceStamp.Of(path), Is.EqualTo(file.Source.Stamp));
    }

    [Test]
    public void A_change_of_the_file_is_noticed(
        [ValueSource(nameof(Accesses))] SourceAccess access,
        [Values("grown", "rewritten", "deleted")] string change)
    {
        string path = folder.Write("f", RawFile.WithTensors("a"));
        using SafetensorsFile file = SafetensorsFile.Open(path, new() { Access = access });
        switch (change)
        {
            case "grown":
                File.AppendAllText(path, "x");
                break;
            case "rewritten":
                File.WriteAllBytes(path, RawFile.WithTensors("b"));
                File.SetLastWriteTimeUtc(path, DateTime.UnixEpoch);
                break;
            case "deleted":
                File.Delete(path);
                break;
        }

        var error = Assert.Throws<SourceChangedException>(file.Source.CheckUnchanged)!;
        Assert.That(error.Path, Is.EqualTo(path));
        Assert.That(error.Message, Does.Contain("changed while it was read"));
    }

    [Test]
    [Platform("Linux")]
    public void A_file_of_the_same_bytes_put_in_its_place_is_noticed(
        [ValueSource(nameof(Accesses))] SourceAccess access)
    {
        string path = folder.Write("f", RawFile.WithTensors("a"));
        using SafetensorsFile file = SafetensorsFile.Open(path, new() { Access = access });
        File.Move(folder.Write("g", RawFile.WithTensors("a")), path, overwrite: true);
        var error = Assert.Throws<SourceChangedException>(file.Source.CheckUnchanged)!;
        Assert.That(error.Message, Does.EndWith("another file was put in its place"));
    }

    [Test]
    public void A_file_cut_while_it_is_read_is_reported_not_filled_up()
    {
        string path = folder.Write("f", RawFile.WithTensors("a"));
        using SafetensorsFile file = SafetensorsFile.Open(path, new() { Access = SourceAccess.Read });
        TensorInfo tensor = file.Header.Tensors[0];
        using (FileStream stream = File.OpenWrite(path)) stream.SetLength(stream.Length - 3);
        Assert.Throws<SourceChangedException>(() => file.Read(tensor, 0, new byte[8]));
        file.Read(tensor, 0, new byte[5]);
    }

    [Test]
    public void A_file_replaced_while_its_descriptor_is_put_away_is_reported_when_it_is_opened_again(
        [Values] bool deleted)
    {
        string path = folder.Write("f", RawFile.WithTensors("a"));
        using SafetensorsFile file = SafetensorsFile.Open(path, new() { Access = SourceAccess.Read });
        var others = new List<SafetensorsFile>();
        for (int i = 0; i < DescriptorCache.Capacity; i++)
        {
            others.Add(SafetensorsFile.Open(
                folder.Write($"o{i}", RawFile.WithTensors("a")), new() { Access = SourceAccess.Read }));
        }

        if (deleted) File.Delete(path);
        else File.Move(folder.Write("g", RawFile.WithTensors("b", "c")), path, overwrite: true);
        Assert.Throws<SourceChangedException>(() => file.Read(file.Header.Tensors[0], 0, new byte[8]));
        others.ForEach(other => other.Dispose());
    }

    /// <summary>A tensor of 4 GiB and a bit, sparse on disk, with a mark behind the 2 and the 4 GiB border.</summary>
    [Test]
    public unsafe void A_tensor_beyond_two_gibibytes_is_read_to_its_last_byte()
    {
        const long Bytes = (4L << 30) + 10;
        byte[] header = RawFile.Of(RawFile.Header(RawFile.Tensor("big", "U8", $"[{Bytes}]", 0, (ulong)Bytes)));
        string path = folder.Write("big.safetensors", header);
        using (FileStream stream = File.OpenWrite(path))
        {
            stream.SetLength(header.Length + Bytes);
            stream.Position = header.Length + (2L << 30) + 5;
            stream.WriteByte(7);
            stream.Position = header.Length + Bytes - 1;
            stream.WriteByte(9);
        }

        foreach (SourceAccess access in Accesses)
        {
            using SafetensorsFile file = SafetensorsFile.Open(path, new() { Access = access });
            TensorInfo tensor = file.Header.Tensors[0];
            byte[] bytes = new byte[3];
            file.Read(tensor, (2L << 30) + 4, bytes);
            Assert.That(bytes, Is.EqualTo(new byte[] { 0, 7, 0 }));
            file.Read(tensor, Bytes - 3, bytes);
            Assert.That(bytes, Is.EqualTo(new byte[] { 0, 0, 9 }));
        }
    }

    [Test]
    [Category("large")]
    public unsafe void A_read_longer_than_one_system_call_is_complete()
    {
        const long Bytes = PreadSource.LongestRead + 4096L;
        byte[] header = RawFile.Of(RawFile.Header(RawFile.Tensor("big", "U8", $"[{Bytes}]", 0, (ulong)Bytes)));
        string path = folder.Write("big.safetensors", header);
        using (FileStream stream = File.OpenWrite(path))
        {
            stream.SetLength(header.Length + Bytes);
            stream.Position = header.Length + PreadSource.LongestRead;
            stream.WriteByte(7);
            stream.Position = header.Length + Bytes - 1;
            stream.WriteByte(9);
        }

        using SafetensorsFile file = SafetensorsFile.Open(path, new() { Access = SourceAccess.Read });
        byte* room = (byte*)NativeMemory.Alloc((nuint)Bytes);
        try
        {
            room[Bytes - 1] = 1;
            byte* read = file.Fetch(file.Header.Tensors[0], 0, (nint)file.Header.DataLength, room);
            byte[] marks = [read[0], read[PreadSource.LongestRead], read[Bytes - 1]];
            Assert.That(marks, Is.EqualTo(new byte[] { 0, 7, 9 }));
        }
        finally
        {
            NativeMemory.Free(room);
        }
    }

    private static SourceUnavailableException Unavailable(string path) =>
        Assert.Throws<SourceUnavailableException>(() => SafetensorsFile.Open(path))!;
}
