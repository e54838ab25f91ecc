namespace FusionKernels.Models;

/// <summary>Where a row of a <see cref="PermutedEmbedding"/> comes from.</summary>
/// <param name="Input">The tensor whose row it is; negative for rows that are no single tensor's.</param>
/// <param name="Row">The row there, or the number of the average.</param>
internal readonly record struct EmbeddingRow(int Input, int Row)
{
    private const int AverageInput = -1, MeanInput = -2, ZeroInput = -3;

    /// <summary>Zeros.</summary>
    public static EmbeddingRow Zero => new(ZeroInput, 0);

    /// <summary>The mean of all rows that are not themselves one.</summary>
    public static EmbeddingRow Mean => new(MeanInput, 0);

    /// <summary>Whether it is a stored row.</summary>
    public bool IsStored => Input >= 0;

    /// <summary>Whether it is an <see cref="Average"/>.</summary>
    public bool IsAverage => Input == AverageInput;

    /// <summary>Whether it is <see cref="Mean"/>.</summary>
    public bool IsMean => Input == MeanInput;

    /// <summary>A row of a tensor.</summary>
    public static EmbeddingRow Of(int input, int row) => new(input, row);

    /// <summary>The average of several stored rows.</summary>
    public static EmbeddingRow Average(int number) => new(AverageInput, number);
}
