namespace FusionKernels.Cli.Tests;

[FixtureLifeCycle(LifeCycle.InstancePerTestCase)]
public sealed class BadInputTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Test]
    public void A_missing_recipe_is_a_missing_input() =>
        Tool.Run("merge", _folder["none.yml"], _folder["out"]).AssertFails(ExitCodes.NoInput, "none.yml");

    [TestCase("merge_method: [", "recipe.yml")]
    [TestCase("merge_metod: linear\nmodels: []\n", "did you mean 'merge_method'")]
    [TestCase("merge_method: tiess\nmodels:\n  - model: a\n", "did you mean 'ties'")]
    [TestCase("merge_method: linear\nmodels:\n  - model: a\n    parameters: {weight: .nan}\n", "weight")]
    public void A_bad_recipe_is_a_usage_error(string yaml, string word)
    {
        Tool.Run("merge", _folder.Write("recipe.yml", yaml), _folder["out"]).AssertFails(ExitCodes.Usage, word);
        Assert.That(_folder["out"], Does.Not.Exist);
    }

    [TestCase("", "parameters: {wieght: 1}", "recipe.yml: linear has no parameter 'wieght' (did you mean 'weight'?)")]
    [TestCase("", "dtype: bfloat17", "recipe.yml: 'dtype: bfloat17'")]
    [TestCase("name: blend", "parameters: {wieght: 1}", "recipe.yml: blend: linear has no parameter 'wieght'")]
    public void A_recipe_that_cannot_be_planned_is_named_with_its_document(string first, string second, string words)
    {
        string output = first.Length > 0 ? "\n---\nmerge_method: passthrough\nmodels: [{model: blend}]" : "";
        string model = Path.Combine(Tool.Digits, "base");
        string yaml = $"merge_method: linear\nmodels: [{{model: {model}}}]\n{first}\n{second}{output}";
        Tool.Run("merge", _folder.Write("recipe.yml", yaml), _folder["out"]).AssertFails(ExitCodes.Usage, words);
    }

    [Test]
    public void Warnings_of_a_lenient_run_name_file_and_line()
    {
        string model = Path.Combine(Tool.Digits, "base");
        string recipe = _folder.Write("recipe.yml", $$"""
            merge_method: linear
            models: [{model: {{model}}}]
            parameters: {weight: 1, wieght: 2}
            nonsense: 3
            """);
        string error = Tool.Run("merge", recipe, _folder["out"], "--lenient").Succeeds().Error;
        Assert.That(error, Does.Contain($"{recipe}:4: 'nonsense'"));
        Assert.That(error, Does.Contain($"{recipe}: linear has no parameter 'wieght'"));
        Assert.That(error.Split("'nonsense'"), Has.Length.EqualTo(2), "said once");
    }

    [Test]
    public void A_missing_model_is_a_missing_input() =>
        Tool.Run("merge", Linear("nowhere"), _folder["out"]).AssertFails(ExitCodes.NoInput, "nowhere");

    [Test]
    public void A_pipe_as_an_input_is_refused_at_once()
    {
        Shell.Run("mkfifo", _folder["pipe.safetensors"]);
        Tool.Run("inspect", _folder["pipe.safetensors"]).AssertFails(ExitCodes.NoInput, "pipe.safetensors");
        Tool.Run("merge", Linear("pipe.safetensors"), _folder["out"])
            .AssertFails(ExitCodes.NoInput, "pipe.safetensors");
    }

    [Test]
    public void A_truncated_shard_is_bad_data()
    {
        byte[] whole = File.ReadAllBytes(Path.Combine(Tool.Digits, "base", "model.safetensors"));
        File.WriteAllBytes(_folder["cut.safetensors"], whole[..^1]);
        Tool.Run("inspect", _folder["cut.safetensors"]).AssertFails(ExitCodes.BadData, "cut.safetensors");
        Tool.Run("merge", Linear("cut.safetensors"), _folder["out"]).AssertFails(ExitCodes.BadData, "cut.safetensors");
        Assert.That(_folder["out"], Does.Not.Exist);
    }

    [Test]
    public void Something_else_under_the_name_of_a_torch_file_is_bad_data()
    {
        _folder.Write("old.bin", "cposix\nsystem\n");
        Tool.Run("inspect", _folder["old.bin"]).AssertFails(ExitCodes.BadData, "old.bin");
        Tool.Run("merge", Linear("old.bin"), _folder["out"]).AssertFails(ExitCodes.BadData, "old.bin");
    }

    [Test]
    public void Models_of_different_shapes_are_bad_data()
    {
        string recipe = _folder.Write("recipe.yml", $$"""
            merge_method: linear
            models:
              - model: {{Path.Combine(Tool.Digits, "base")}}
                parameters: {weight: 1}
              - model: {{Path.Combine(Tool.Digits, "golden.safetensors")}}
                parameters: {weight: 1}
            """);
        Tool.Run("merge", recipe, _folder["out"]).AssertFails(ExitCodes.BadData);
    }

    [Test]
    public void An_output_with_foreign_files_is_left_alone()
    {
        string foreign = _folder.Write("out/thesis.txt", "dear");
        Tool.Run("merge", Tool.Recipe("average"), _folder["out"], "--model-root", Tool.Digits)
            .AssertFails(ExitCodes.CannotCreate, _folder["out"], "thesis.txt");
        Assert.That(Directory.GetFileSystemEntries(_folder["out"]), Is.EqualTo(new[] { foreign }));
    }

    [Test]
    public void An_output_of_another_recipe_is_replaced_only_by_restart()
    {
        string[] arguments = ["merge", Tool.Recipe("average"), _folder["out"], "--model-root", Tool.Digits];
        Tool.Run(arguments).Succeeds();
        arguments[1] = Tool.Recipe("task_arithmetic");
        Tool.Run(arguments).AssertFails(ExitCodes.Usage, _folder["out"], "--restart");
        Tool.Run([.. arguments, "--restart"]).Succeeds();
        Tool.Run("verify", _folder["out"]).Succeeds();
    }

    [Test]
    public void A_file_of_the_output_that_was_changed_stays_so_until_a_restart()
    {
        string[] arguments = ["merge", Tool.Recipe("average"), _folder["out"], "--model-root", Tool.Digits];
        Tool.Run(arguments).Succeeds();
        string card = _folder["out/README.md"], weights = _folder["out/model.safetensors"];
        byte[] written = File.ReadAllBytes(weights);
        _folder.Write("out/README.md", "mine");
        Assert.That(Tool.Run(arguments).Succeeds().Error, Does.Contain($"warning: {card}: was changed"));
        File.Delete(weights);
        Assert.That(Tool.Run(arguments).Succeeds().Error, Does.Contain($"warning: {card}: was changed"));
        Assert.That(File.ReadAllText(card), Is.EqualTo("mine"));
        Assert.That(File.ReadAllBytes(weights), Is.EqualTo(written));
        Assert.That(Tool.Run([.. arguments, "--restart"]).Succeeds().Error, Is.Empty);
        Assert.That(File.ReadAllText(card), Is.Not.EqualTo("mine"));
    }

    [Test]
    public void An_input_that_changed_since_the_merge_is_named()
    {
        string model = _folder["model/model.safetensors"];
        Directory.CreateDirectory(_folder["model"]);
        File.Copy(Path.Combine(Tool.Digits, "base", "model.safetensors"), model);
        Tool.Run("merge", Linear("model"), _folder["out"]).Succeeds();
        File.SetLastWriteTimeUtc(model, DateTime.UnixEpoch);
        Tool.Run("merge", Linear("model"), _folder["out"])
            .AssertFails(ExitCodes.Usage, "modified_nanoseconds", $"sources['{model}']");
    }

    [Test]
    public void An_output_inside_an_input_is_refused()
    {
        Directory.CreateDirectory(_folder["model"]);
        File.Copy(Path.Combine(Tool.Digits, "base", "model.safetensors"), _folder["model/model.safetensors"]);
        Tool.Run("merge", Linear("model"), _folder["model"]).AssertFails(ExitCodes.CannotCreate);
    }

    [Test]
    public void A_file_in_the_place_of_the_output_folder_is_refused() =>
        Tool.Run("merge", Tool.Recipe("average"), _folder.Write("out", "a file"), "--model-root", Tool.Digits)
            .AssertFails(ExitCodes.CannotCreate);

    [Test]
    public void Permission_denied_names_the_path()
    {
        File.Copy(Path.Combine(Tool.Digits, "base", "model.safetensors"), _folder["secret.safetensors"]);
        Directory.CreateDirectory(_folder["locked"]);
        Shell.Run("chmod", "000", _folder["secret.safetensors"]);
        Shell.Run("chmod", "555", _folder["locked"]);

        RunUnprivileged("inspect", _folder["secret.safetensors"]).AssertFails(ExitCodes.NoInput, "secret.safetensors");
        RunUnprivileged("merge", Tool.Recipe("average"), _folder["locked/out"], "--model-root", Tool.Digits)
            .AssertFails(ExitCodes.CannotCreate, "locked");
    }

    [TestCase("inspect")]
    [TestCase("verify")]
    public void A_folder_without_a_checkpoint_is_a_missing_input(string command)
    {
        Directory.CreateDirectory(_folder["empty"]);
        Tool.Run(command, _folder["empty"]).AssertFails(ExitCodes.NoInput, "empty");
    }

    [Test]
    public void A_line_break_in_a_path_does_not_break_the_line() =>
        Tool.Run("inspect", _folder["two\nlines\e[31m"]).AssertFails(ExitCodes.NoInput, "two lines?[31m");

    [Test]
    public void Debug_adds_the_stack_trace_below_the_line()
    {
        var result = Tool.Run("inspect", _folder["none"], "--debug");
        Assert.That(result.ExitCode, Is.EqualTo(ExitCodes.NoInput));
        Assert.That(result.Error, Does.StartWith("fusion: ").And.Contain("   at FusionKernels."));
    }

    private string Linear(string model) => _folder.Write("linear.yml", $$"""
        merge_method: linear
        models:
          - model: {{_folder[model]}}
            parameters: {weight: 1}
        """);

    // Root may read and write everything, so under root the tool runs as nobody, who must be able to reach its files.
    private ToolResult RunUnprivileged(params string[] arguments)
    {
        if (Environment.UserName != "root")
            return Tool.Run(arguments);
        string[] nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
        if (Shell.Run([.. nobody, "test", "-r", Tool.Program]) != 0)
            Assert.Ignore("SKIPPED: running as root, and an unprivileged user cannot be had or cannot reach the build");
        Shell.Run("chmod", "755", _folder[""]);
        return Tool.Finish(Tool.StartUnder(nobody, arguments));
    }
}
