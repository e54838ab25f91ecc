using System.Numerics;
using FusionKernels.Kernels.Ilgpu.DeviceCode;
using ILGPU;
using ILGPU.Runtime;
using ILGPU.Runtime.Cuda;

namespace FusionKernels.Kernels.Ilgpu;

internal sealed unsafe partial class IlgpuStream
{
    // An operand of two planes is off by 2^-17 of itself; from here on the contract's bound, 2 k 2^-24, has room for
    // that.
    private const int LeastDepthOfPlanes = 512;

    public void Multiply(in Matrix left, in Matrix right, in Matrix output, double alpha, double beta)
    {
        Matrix.CheckProduct(left, right, output);
        if (output.Rows == 0 || output.Columns == 0)
            return;

        // The kernels write rows.
        if (!output.IsRowMajor)
            MultiplyByRows(right.Transposed, left.Transposed, output.Transposed, alpha, beta);
        else
            MultiplyByRows(left, right, output, alpha, beta);
    }

    private void MultiplyByRows(in Matrix left, in Matrix right, in Matrix output, double alpha, double beta)
    {
        (float a, float b) = ((float)alpha, (float)beta);
        if (output.Data.Type == ElementType.F64)
            Multiply<double, DoubleScalar, PlainProduct<double, DoubleScalar>>(left, right, output, alpha, beta);
        else if (IsForTensorCores(left, right))
            Multiply<float, SingleScalar, TensorCoreProduct>(left, right, output, a, b);
        else
            Multiply<float, SingleScalar, PlainProduct<float, SingleScalar>>(left, right, output, a, b);
    }

    /// <summary>
    /// bf16 as it is, at any depth; else what has at least one operand of 16 bits or fewer, where the bound allows.
    /// </summary>
    private bool IsForTensorCores(in Matrix left, in Matrix right)
    {
        bool has = _backend.Accelerator is CudaAccelerator { Architecture.Major: >= 8 };
        bool exact = IsBF16(left) && IsBF16(right), narrow = IsNarrow(left) || IsNarrow(right);
        return has && (exact || (narrow && left.Columns >= LeastDepthOfPlanes));
    }

    private static bool IsBF16(in Matrix matrix) => matrix.Data.Type == ElementType.BF16 && !matrix.Base.Exists;

    private static bool IsNarrow(in Matrix matrix) =>
        matrix.Data.Type.Size() <= 2 && (!matrix.Base.Exists || matrix.Base.Type.Size() <= 2);

    /// <summary>
    /// How long the segments of a sum are: that depends on its length alone, and with it the sum's order.
    /// </summary>
    private static int SegmentLength(int depth) => depth <= 4096 ? 1024 : 2048;

    // Few tiles do not fill the device: then every segment of a tile's sums has a group of its own, and they are added
    // up afterwards, in the order in which one group would.
    private void Multiply<T, TScalar, TProduct>(in Matrix left, in Matrix right, in Matrix output, T alpha, T beta)
        where T : unmanaged, INumber<T>
        where TScalar : struct, IScalar<T>
        where TProduct : struct, IProduct<T>
    {
        int segmentLength = SegmentLength(left.Columns);
        int segments = Math.Max(1, ProductTile.Count(left.Columns, segmentLength));
        int tiles = checked(
            ProductTile.Count(output.Rows, TProduct.Height) * ProductTile.Count(output.Columns, ProductTile.Width));
        bool areShared = segments > 1 && tiles < 2 * _backend.Accelerator.NumMultiprocessors;
        long length = (long)output.Rows * output.Columns;
        Begin(Room(left) + Room(right) + Room(output) + Room<T>(areShared ? segments * length : 0));
        var target = BringOutput(output, isRead: !T.IsZero(beta));
        var arguments = new ProductArguments<T>
        {
            Left = BringMatrix(left, TProduct.NeedsAlignment),
            Right = BringMatrix(right, TProduct.NeedsAlignment),
            Output = new ProductOutput<T>
            {
                Data = target.Data.Cast<T>(),
                Rows = output.Rows,
                Columns = output.Columns,
                RowStride = target.RowStride,
                MatrixStride = 0,
                SegmentLength = segmentLength,
                Segments = segments,
                Alpha = alpha,
                Beta = beta,
            },
        };
        if (areShared)
        {
            var sums = Take<T>(segments * length);
            var fold = new FoldArguments<T> { Output = arguments.Output, Sums = sums, Count = segments };
            arguments.Output = arguments.Output with
            {
                Data = sums,
                RowStride = output.Columns,
                MatrixStride = length,
                Segments = 1,
                Alpha = T.One,
                Beta = T.Zero,
            };
            TProduct.Launch(this, left, right, arguments, new Index2D(tiles, segments));
            Launch(FoldKernel<T, TScalar>.Run, fold, length);
        }
        else
        {
            TProduct.Launch(this, left, right, arguments, new Index2D(tiles, 1));
        }

        Finish(output, target);
    }

    /// <summary>A kernel that multiplies.</summary>
    private interface IProduct<T>
        where T : unmanaged, INumber<T>
    {
        /// <summary>Rows of a tile.</summary>
        static abstract int Height { get; }

        /// <summary>Whether lines of the operands must begin where eight elements are read at once.</summary>
        static abstract bool NeedsAlignment { get; }

        /// <summary>Runs it.</summary>
        /// <param name="stream">The stream.</param>
        /// <param name="left">How the left operand is stored.</param>
        /// <param name="right">How the right one is.</param>
        /// <param name="arguments">Both on the device, and the output.</param>
        /// <param name="grid">Tiles, and parts of the sums.</param>
        static abstract void Launch(
            IlgpuStream stream, in Matrix left, in Matrix right, in ProductArguments<T> arguments, Index2D grid);
    }

    /// <summary>That of <see cref="ProductKernel{TLeft,TRight,T,TScalar}"/>.</summary>
    private readonly struct PlainProduct<T, TScalar> : IProduct<T>
        where T : unmanaged, INumber<T>
        where TScalar : struct, IScalar<T>
    {
        public static int Height => ProductTile.Width / 2 * TScalar.Halves;

        public static bool NeedsAlignment => false;

        public static void Launch(
            IlgpuStream stream, in Matrix left, in Matrix right, in ProductArguments<T> arguments, Index2D grid) =>
            MatrixElements.Select(left, new LeftKnown(stream, right, arguments, grid));

        private readonly struct LeftKnown(IlgpuStream stream, Matrix right, ProductArguments<T> arguments, Index2D grid)
            : IElementsAction
        {
            public void Invoke<TLeft>()
                where TLeft : struct, IElements =>
                MatrixElements.Select(right, new BothKnown<TLeft>(stream, arguments, grid));
        }

        private readonly struct BothKnown<TLeft>(IlgpuStream stream, ProductArguments<T> arguments, Index2D grid)
            : IElementsAction
            where TLeft : struct, IElements
        {
            public void Invoke<TRight>()
                where TRight : struct, IElements => stream.LaunchGrid(
                    ProductKernel<TLeft, TRight, T, TScalar>.Run, arguments, grid, ProductTile.PlainThreads);
        }
    }

    /// <summary>That of <see cref="TensorProduct"/>.</summary>
    private readonly struct TensorCoreProduct : IProduct<float>
    {
        public static int Height => TensorProduct.Height;

        public static bool NeedsAlignment => true;

        public static void Launch(
            IlgpuStream stream, in Matrix left, in Matrix right, in ProductArguments<float> arguments, Index2D grid)
        {
            DeviceMatrix a = arguments.Left, b = arguments.Right;
            ProductOutput<float> output = arguments.Output;
            long address = Address(output.Data);
            bool isAligned = address % 16 == 0 && output.RowStride % 4 == 0 && output.MatrixStride % 4 == 0;
            var operands = new TensorProductArguments
            {
                Left = Operand(a, a.Rows, a.RowStride, a.ColumnStride),
                Right = Operand(b, b.Columns, b.ColumnStride, b.RowStride),
                Output = output,
                OutputAddress = isAligned ? address : 0,
                Depth = left.Columns,
            };
            SelectSide(left, left.IsRowMajor, new LeftKnown(stream, right, operands, grid));
        }

        // SAFETY: a CUDA view's address is the device's.
        private static long Address<T>(ArrayView<T> view)
            where T : unmanaged => view.LoadEffectiveAddressAsPtr().ToInt64();

        private static TensorOperand Operand(in DeviceMatrix matrix, int lines, long lineStride, long stepStride) =>
            new()
            {
                Matrix = matrix,
                Address = Address(matrix.Data),
                Lines = lines,
                LineStride = lineStride,
                StepStride = stepStride,
            };

        private static void SelectSide<TAction>(in Matrix matrix, bool isByLines, in TAction action)
            where TAction : struct, ISideAction
        {
            if (!IsBF16(matrix))
                MatrixElements.Select(matrix, new SplitKnown<TAction>(isByLines, action));
            else if (isByLines)
                action.Invoke<TensorSide<CopiedBF16, ByLines>>();
            else
                action.Invoke<TensorSide<CopiedBF16, BySteps>>();
        }

        private interface ISideAction
        {
            void Invoke<TSide>()
                where TSide : struct, ITensorSide;
        }

        private readonly struct SplitKnown<TAction>(bool isByLines, TAction action) : IElementsAction
            where TAction : struct, ISideAction
        {
            public void Invoke<TElements>()
                where TElements : struct, IElements
            {
                if (isByLines)
                    action.Invoke<TensorSide<SplitBF16<TElements>, ByLines>>();
                else
                    action.Invoke<TensorSide<SplitBF16<TElements>, BySteps>>();
            }
        }

        private readonly struct LeftKnown(
            IlgpuStream stream, Matrix right, TensorProductArguments arguments, Index2D grid) : ISideAction
        {
            public void Invoke<TLeft>()
                where TLeft : struct, ITensorSide =>
                SelectSide(right, !right.IsRowMajor, new BothKnown<TLeft>(stream, arguments, grid));
        }

        private readonly struct BothKnown<TLeft>(IlgpuStream stream, TensorProductArguments arguments, Index2D grid)
            : ISideAction
            where TLeft : struct, ITensorSide
        {
            public void Invoke<TRight>()
                where TRight : struct, ITensorSide => stream.LaunchGrid(
                    TensorProduct.Run<TLeft, TRight>, arguments, grid, TensorProduct.Threads);
        }
    }
}
