using System.Diagnostics;

namespace FusionKernels.Safetensors.Tests;

/// <summary>The protocol of outputs: what is on disk after each step, and who may do what at the same time.</summary>
[TestFixture]
[FixtureLifeCycle(LifeCycle.InstancePerTestCase)]
public sealed class DirectoryOutputStoreTests : IDisposable
{
    private readonly TemporaryFolder folder = new();
    private readonly DirectoryOutputStore store;

    public DirectoryOutputStoreTests() => store = new DirectoryOutputStore(folder["out"]);

    public void Dispose() => folder.Dispose();

    [Test]
    public void A_file_has_its_full_length_from_the_start_and_its_name_only_at_the_end()
    {
        using (IOutputFile file = store.CreatePartial("a", 1000))
        {
            Assert.That(store.List(), Is.EqualTo(new[] { "a.partial" }));
            Assert.That(file.Length, Is.EqualTo(1000));
            file.Write(990, [1, 2, 3]);
            file.Write(0, [9]);
        }

        Assert.That((store.Exists("a"), store.Exists("a.partial")), Is.EqualTo((false, true)));
        store.Publish("a");
        Assert.That(store.List(), Is.EqualTo(new[] { "a" }));
        byte[] content = store.ReadAll("a");
        Assert.That(content, Has.Length.EqualTo(1000));
        Assert.That(content[..2], Is.EqualTo(new byte[] { 9, 0 }));
        Assert.That(content[989..994], Is.EqualTo(new byte[] { 0, 1, 2, 3, 0 }));
    }

    [Test]
    public void Writes_of_many_threads_land_at_their_places()
    {
        const int Chunk = 1000, Count = 200;
        using (IOutputFile file = store.CreatePartial("a", Chunk * Count))
        {
            Parallel.For(0, Count, i =>
            {
                byte[] bytes = new byte[Chunk];
                Array.Fill(bytes, (byte)i);
                file.Write(i * Chunk, bytes);
            });
        }

        store.Publish("a");
        byte[] content = store.ReadAll("a");
        for (int i = 0; i < content.Length; i++) Assert.That(content[i], Is.EqualTo((byte)(i / Chunk)));
    }

    [Test]
    public void A_partial_is_opened_again_with_what_it_holds()
    {
        using (IOutputFile file = store.CreatePartial("a", 10)) file.Write(2, [5, 6]);
        using (IOutputFile file = store.OpenPartial("a"))
        {
            byte[] bytes = new byte[20];
            Assert.That(file.Read(1, bytes), Is.EqualTo(9));
            Assert.That(bytes[..4], Is.EqualTo(new byte[] { 0, 5, 6, 0 }));
            file.Write(4, [7]);
        }

        store.Publish("a");
        Assert.That(store.ReadAll("a"), Is.EqualTo(new byte[] { 0, 0, 5, 6, 7, 0, 0, 0, 0, 0 }));
    }

    [Test]
    public void A_partial_of_an_earlier_run_is_started_afresh()
    {
        using (IOutputFile file = store.CreatePartial("a", 10)) file.Write(0, [1]);
        using (IOutputFile file = store.CreatePartial("a", 5))
        {
            Assert.That(file.Length, Is.EqualTo(5));
            byte[] first = new byte[1];
            file.Read(0, first);
            Assert.That(first[0], Is.Zero);
        }
    }

    [Test]
    public void What_is_not_there_is_unavailable()
    {
        Assert.Throws<OutputUnavailableException>(() => store.OpenPartial("a"));
        Assert.Throws<OutputUnavailableException>(() => store.OpenPublished("a"));
        Assert.Throws<OutputUnavailableException>(() => store.Publish("a"));
        Assert.Throws<OutputUnavailableException>(() => store.ReadAll("a"));
        store.Delete("a");
        store.Delete("no/such/folder");
    }

    [Test]
    public void A_small_file_is_replaced_as_a_whole()
    {
        store.WriteAll(".state/plan.json", "one and more"u8);
        store.WriteAll(".state/plan.json", "two"u8);
        Assert.That(store.ReadAll(".state/plan.json"), Is.EqualTo("two"u8.ToArray()));
        Assert.That(Directory.GetFiles(folder["out/.state"]), Has.Length.EqualTo(1));
    }

    [Test]
    public void A_journal_grows_line_by_line()
    {
        store.Append(".state/journal", "one\n"u8);
        store.Append(".state/journal", "two\n"u8);
        Assert.That(store.ReadAll(".state/journal"), Is.EqualTo("one\ntwo\n"u8.ToArray()));
    }

    [Test]
    public void A_folder_is_deleted_when_it_is_empty_and_not_before()
    {
        store.WriteAll(".state/x", "x"u8);
        Assert.That(() => store.Delete(".state"), Throws.InstanceOf<IOException>());
        Assert.That(store.Exists(".state/x"));
        store.Delete(".state/x");
        store.Delete(".state");
        Assert.That(store.List(), Is.Empty);
    }

    [TestCase("")]
    [TestCase("..")]
    [TestCase("../x")]
    [TestCase("a/../../x")]
    [TestCase("a//x")]
    [TestCase("/etc/x")]
    [TestCase("a\\x")]
    [TestCase("C:x")]
    [TestCase("a\0")]
    public void Names_stay_inside_the_folder(string name)
    {
        Assert.Throws<ArgumentException>(() => store.CreatePartial(name, 1));
        Assert.Throws<ArgumentException>(() => store.WriteAll(name, "x"u8));
        Assert.Throws<ArgumentException>(() => store.Delete(name));
        Assert.Throws<ArgumentException>(() => store.Lock(name));
    }

    [Test]
    public void Files_nobody_named_stay_as_they_are()
    {
        File.WriteAllText(folder["out/notes.txt"], "mine");
        File.WriteAllText(folder["out/b.partial"], "mine too");
        store.WriteAll("a", "x"u8);
        using (store.CreatePartial("c", 5)) store.Delete("c.partial");
        Assert.That(store.List(), Is.EqualTo(new[] { "a", "b.partial", "notes.txt" }));
        Assert.That(File.ReadAllText(folder["out/notes.txt"]), Is.EqualTo("mine"));
        Assert.That(File.ReadAllText(folder["out/b.partial"]), Is.EqualTo("mine too"));
    }

    [Test]
    [Platform("Linux")]
    public void A_link_at_an_output_name_is_replaced_never_followed()
    {
        File.WriteAllText(folder["victim"], "precious");
        File.CreateSymbolicLink(folder["out/a"], folder["victim"]);
        File.CreateSymbolicLink(folder["out/a.partial"], folder["victim"]);
        Assert.Throws<OutputUnavailableException>(() => store.OpenPartial("a"));
        Assert.Throws<OutputUnavailableException>(() => store.OpenPublished("a"));
        using (IOutputFile file = store.CreatePartial("a", 3)) file.Write(0, "new"u8);
        store.Publish("a");
        Assert.That(File.ReadAllText(folder["victim"]), Is.EqualTo("precious"));
        Assert.That(new FileInfo(folder["out/a"]).LinkTarget, Is.Null);
        File.CreateSymbolicLink(folder["out/dir"], folder.Root);
        store.Delete("dir");
        Assert.That(File.Exists(folder["victim"]));
    }

    [Test]
    [Platform("Linux")]
    public void Files_get_the_mode_of_the_umask()
    {
        if (OperatingSystem.IsWindows()) return;
        store.WriteAll("a", "x"u8);
        File.WriteAllText(folder["plain"], "x");
        Assert.That(File.GetUnixFileMode(folder["out/a"]), Is.EqualTo(File.GetUnixFileMode(folder["plain"])));
    }

    [Test]
    public void An_output_folder_that_cannot_be_is_unavailable()
    {
        folder.Write("file", [1]);
        Assert.Throws<OutputUnavailableException>(() => new DirectoryOutputStore(folder["file"]));
        Assert.Throws<OutputUnavailableException>(() => new DirectoryOutputStore(folder["file/sub"]));
        Directory.CreateDirectory(folder["out/a.partial/x"]);
        Assert.Throws<OutputUnavailableException>(() => store.CreatePartial("a", 1));
    }

    [Test]
    public void Free_space_is_told_and_too_big_a_file_is_refused_at_once_and_leaves_nothing()
    {
        Assert.That(store.FreeBytes, Is.Positive);
        Assert.That(() => store.CreatePartial("a", store.FreeBytes * 2), Throws.InstanceOf<IOException>());
        Assert.That(store.List(), Is.Empty);
    }

    [Test]
    public void A_lock_is_exclusive_until_it_is_released_and_names_its_holder()
    {
        var other = new DirectoryOutputStore(folder["out"]);
        using (store.Lock(".state/lock"))
        {
            var busy = Assert.Throws<OutputBusyException>(() => other.Lock(".state/lock"))!;
            if (OperatingSystem.IsLinux()) Assert.That(busy.HolderPid, Is.EqualTo(Environment.ProcessId));
            Assert.That(busy.Message, Does.Contain("locked"));
        }

        using (other.Lock(".state/lock")) Assert.Throws<OutputBusyException>(() => store.Lock(".state/lock"));
    }

    [Test]
    [Platform("Linux")]
    public void A_lock_whose_file_was_deleted_by_its_holder_is_not_inherited()
    {
        using (store.Lock("lock"))
        {
            store.Delete("lock");
            using IDisposable fresh = store.Lock("lock");
            Assert.Throws<OutputBusyException>(() => store.Lock("lock"));
        }
    }

    [Test]
    [Platform("Linux")]
    [CancelAfter(20_000)]
    public void A_lock_ends_with_a_process_that_is_killed()
    {
        string path = folder["out/lock"];
        File.WriteAllText(path, "");
        var start = new ProcessStartInfo("flock", ["--no-fork", path, "sh", "-c", "echo held; exec sleep 600"])
        {
            RedirectStandardOutput = true,
        };
        using Process holder = Process.Start(start)!;
        holder.StandardOutput.ReadLine();
        Assert.Throws<OutputBusyException>(() => store.Lock("lock"));
        holder.Kill();
        holder.WaitForExit();
        store.Lock("lock").Dispose();
    }
}
