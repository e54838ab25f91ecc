namespace FusionKernels.Cli.Tests;

public class UsageTests
{
    [Test]
    public void An_unknown_command_is_refused_with_a_suggestion() =>
        Tool.Run("mrege", "a", "b").AssertFails(ExitCodes.Usage, "'mrege'", "did you mean 'merge'", "fusion --help");

    [Test]
    public void An_unknown_option_is_refused_with_a_suggestion() =>
        Tool.Run("merge", "a", "b", "--memroy", "1GiB")
            .AssertFails(ExitCodes.Usage, "'--memroy'", "did you mean '--memory'", "fusion merge --help");

    [Test]
    public void A_missing_argument_is_refused_and_named() =>
        Tool.Run("merge", "recipe.yml").AssertFails(ExitCodes.Usage, "OUT", "fusion merge --help");

    [TestCase("--memory", "1G")]
    [TestCase("--memory", "-1")]
    [TestCase("--max-shard-size", "many")]
    [TestCase("--threads", "0")]
    [TestCase("--threads", "two")]
    [TestCase("--device", "abacus")]
    [TestCase("--access", "guess")]
    [TestCase("--seed", "-1")]
    [TestCase("--rng", "dice")]
    [TestCase("--missing", "guess")]
    public void A_bad_option_value_is_refused_and_named(string option, string value) =>
        Tool.Run("merge", "recipe.yml", "out", option, value).AssertFails(ExitCodes.Usage, option, value);

    [Test]
    public void More_threads_than_are_of_use_are_not_started()
    {
        string model = Path.Combine(Tool.Digits, "base");
        Tool.Run("svd", model, Path.Combine(Tool.Digits, "expert_rot90"), "--threads", "2000000000").Succeeds();
    }

    [Test]
    public void An_unknown_option_is_named_where_arguments_are_missing_too() =>
        Tool.Run("merge", "--bogus").AssertFails(ExitCodes.Usage, "unknown option '--bogus'");

    [TestCase("PATH", "inspect", "")]
    [TestCase("RECIPE", "merge", "", "out")]
    [TestCase("OUT", "merge", "recipe.yml", "")]
    [TestCase("B", "diff", "a", "")]
    [TestCase("--adapter", "sum-lora", "out", "-a", "")]
    [TestCase("--model-root", "merge", "recipe.yml", "out", "--model-root", "")]
    public void An_empty_word_is_refused_and_named(string name, params string[] arguments) =>
        Tool.Run(arguments).AssertFails(ExitCodes.Usage, $"{name} is empty");

    [TestCase("exec >&-")]
    [TestCase("exec >/dev/full")]
    public void An_stdout_that_cannot_be_written_is_named(string redirection)
    {
        string[] launcher = Shell.Under(redirection);
        Tool.Finish(Tool.StartUnder(launcher, "methods")).AssertFails(ExitCodes.IoError, "stdout cannot be written");
    }

    [Test]
    public void An_unknown_method_is_refused_with_a_suggestion() =>
        Tool.Run("methods", "tise").AssertFails(ExitCodes.Usage, "'tise'", "did you mean 'ties'");

    [Test]
    public void The_version_is_a_number_and_nothing_else() =>
        Assert.That(Tool.Run("--version").Succeeds().Out, Does.Match(@"^\d+\.\d+\.\d+\n$"));

    [TestCase]
    [TestCase("--help")]
    public void Help_lists_every_command(params string[] arguments)
    {
        string help = Tool.Run(arguments).Succeeds().Out;
        foreach (string command in (string[])["merge", "inspect", "diff", "svd", "verify", "methods", "devices", "demo"])
            Assert.That(help, Does.Match($@"(?m)^  {command}\b"));
    }
}
