using FusionKernels.Methods;
using FusionKernels.Safetensors;

namespace FusionKernels.Tests.Golden;

/// <summary>
/// What all fixtures of golden cases share: names, counting, and the reasons for which a case is ignored.
/// </summary>
[Category("Golden")]
internal abstract class GoldenFixture
{
    private const string Folder = "GoldenFolder";

    /// <summary>Counts the verdict.</summary>
    [TearDown]
    public void Count() => GoldenSummary.Add(
        (string)(TestContext.CurrentContext.Test.Properties.Get(Folder) ?? "other"), TestContext.CurrentContext.Result);

    /// <summary>A test of one case, named by its folder and id.</summary>
    protected static TestCaseData Named(string folder, string id, params object[] arguments) =>
        new TestCaseData(arguments).SetName($"{folder}/{id}").SetProperty(Folder, folder);

    /// <summary>Ignores the case when the product has no such merge method.</summary>
    protected static void RequireMethod(string name)
    {
        if (!MergeMethods.TryGet(name, out _))
            Assert.Ignore($"no merge method {name}");
    }

    /// <summary>
    /// Ignores a case of an operation that the runner does not run, because the product has no such thing. Where the
    /// product has a merge method of that name by now, the runner lags behind: that fails.
    /// </summary>
    protected static void IgnoreOperation(string name)
    {
        Assert.That(
            MergeMethods.TryGet(name, out _), Is.False, $"the product has a merge method {name}: run its golden case");
        Assert.Ignore($"no kernel for {name}");
    }

    /// <summary>
    /// The text of a refusal. What the product says it does not support yet ignores the case; an exception that is none
    /// of its own fails it.
    /// </summary>
    protected static string Refusal(Exception exception)
    {
        if (exception is not (MergeException or SafetensorsException or SourceUnavailableException))
            Assert.Fail($"an exception that is not the product's own: {exception}");
        if (exception.Message.Contains("not supported yet", StringComparison.Ordinal))
        {
            // The part that begins with the key, without the file and line.
            int key = exception.Message.IndexOf('\'', StringComparison.Ordinal);
            Assert.Ignore(key < 0 ? exception.Message : exception.Message[key..]);
        }

        return exception.Message;
    }
}
