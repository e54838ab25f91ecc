using System.Numerics;
using MathNet.Numerics.LinearAlgebra;

namespace FusionKernels.Kernels.Tests;

/// <summary>Matrices for the tests of factorizations, and MathNet's view of them.</summary>
internal static class Dense
{
    /// <summary>Standard normals.</summary>
    public static DenseMatrix<T> Random<T>(int rows, int columns, int seed)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        var random = new Random(seed);
        var matrix = new DenseMatrix<T>(rows, columns);
        for (int i = 0; i < rows; i++)
        {
            for (int j = 0; j < columns; j++)
            {
                double radius = Math.Sqrt(-2 * Math.Log(1 - random.NextDouble()));
                matrix[i, j] = T.CreateTruncating(radius * Math.Cos(2 * Math.PI * random.NextDouble()));
            }
        }

        return matrix;
    }

    /// <summary>A matrix of given singular values, at most min(rows, columns) of them.</summary>
    public static DenseMatrix<T> WithSpectrum<T>(int rows, int columns, double[] values, int seed)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        using DenseMatrix<double> left = Random<double>(rows, values.Length, seed);
        using DenseMatrix<double> right = Random<double>(columns, values.Length, seed + 1);
        Matrix<double> u = Of(left).QR().Q, v = Of(right).QR().Q;
        return From<T>(u * Matrix<double>.Build.DenseOfDiagonalArray(values) * v.Transpose());
    }

    /// <summary>A symmetric matrix of given eigenvalues.</summary>
    public static DenseMatrix<double> WithEigenvalues(double[] values, int seed)
    {
        using DenseMatrix<double> random = Random<double>(values.Length, values.Length, seed);
        Matrix<double> q = Of(random).QR().Q, a = q * Matrix<double>.Build.DenseOfDiagonalArray(values) * q.Transpose();
        return From<double>((a + a.Transpose()) / 2);
    }

    public static DenseMatrix<T> From<T>(Matrix<double> source)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        var matrix = new DenseMatrix<T>(source.RowCount, source.ColumnCount);
        for (int i = 0; i < matrix.Rows; i++)
        {
            for (int j = 0; j < matrix.Columns; j++)
                matrix[i, j] = T.CreateTruncating(source[i, j]);
        }

        return matrix;
    }

    public static Matrix<double> Of<T>(DenseMatrix<T> matrix)
        where T : unmanaged, IFloatingPointIeee754<T> =>
        Matrix<double>.Build.Dense(matrix.Rows, matrix.Columns, (i, j) => double.CreateTruncating(matrix[i, j]));

    /// <summary>Largest |element| of rows times their transpose, less the identity.</summary>
    public static double DistanceFromOrthonormal(Matrix<double> rows) => rows.RowCount == 0 ? 0
        : Largest((rows * rows.Transpose()) - Matrix<double>.Build.DenseIdentity(rows.RowCount));

    public static double Largest(Matrix<double> matrix) =>
        matrix.Enumerate().Select(Math.Abs).DefaultIfEmpty().Max();
}
