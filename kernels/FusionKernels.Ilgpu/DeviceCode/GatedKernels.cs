using System.Runtime.CompilerServices;
using ILGPU;
using ILGPU.Runtime;

namespace FusionKernels.Kernels.Ilgpu.DeviceCode;

/// <summary>
/// A gated layer's forward pass for few tokens: four kernels that read every weight they need once, from storage, and
/// leave the routing on the device. A group of 256 threads takes 32 rows of W for one token: 32 threads share four
/// rows, each with eight elements at a time of all four, so that a piece of the token is read once for four rows and
/// four reads of weights are under way. Of the gates and of an expert's z there are few rows: there all threads of a
/// group share four, or most of the device would wait for a few.
/// </summary>
internal static class GatedKernels
{
    /// <summary>Threads of a group, and the rows that it takes of W, or of few.</summary>
    public const int Threads = 256, Rows = Threads / Lanes * FewRows, FewRows = 4;

    /// <summary>Threads of a group of <see cref="Choose"/>.</summary>
    public const int ChoosingThreads = 32;

    // Threads that share four rows of W.
    private const int Lanes = 32;

    /// <summary>The gates' products with the tokens, by token (y) and rows (x).</summary>
    public static void Score<TExperts>(GatedArguments arguments)
        where TExperts : struct, IElements
    {
        int row = FirstRow(Threads), token = Grid.IdxY;
        var dots = Dots<TExperts>(Threads, arguments.Gates, row, 0, arguments.Gates.Columns, arguments.Input, token);
        var sums = Sum(Threads, dots);
        if (Group.IdxX > 0)
            return;
        for (int i = 0; i < FewRows && row + i < arguments.Gates.Rows; i++)
            arguments.Products[(token * arguments.ProductsStride) + row + i] = Pick(sums, i);
    }

    /// <summary>
    /// From products to experts, a group a token: norms in fp64, softmax in fp32, the TopK largest probabilities with
    /// ties going to the lower expert, divided by their sum. A NaN or +infinity among the scores makes all weights NaN.
    /// A thread takes the norm of an expert, whose products are in the device's memory; the first one does the rest.
    /// </summary>
    public static void Choose(GatedArguments arguments)
    {
        int token = Grid.IdxX, experts = arguments.Experts;
        var probabilities = SharedMemory.GetDynamic<float>();
        for (int expert = Group.IdxX; expert < experts; expert += Group.DimX)
            probabilities[expert] = ScoreOf(arguments, token, expert);
        Group.Barrier();
        if (Group.IdxX > 0)
            return;
        var chosen = arguments.Chosen.SubView((long)token * arguments.TopK, arguments.TopK);
        var weights = arguments.ChosenWeights.SubView((long)token * arguments.TopK, arguments.TopK);
        float largest = float.NegativeInfinity, total = 0, taken = 0;
        for (int expert = 0; expert < experts; expert++)
        {
            if (probabilities[expert] > largest)
                largest = probabilities[expert];
        }

        for (int expert = 0; expert < experts; expert++)
        {
            float exponential = Exponential.Of(probabilities[expert] - largest);
            probabilities[expert] = exponential;
            total += exponential;
        }

        for (int expert = 0; expert < experts; expert++)
            probabilities[expert] /= total;
        for (int slot = 0; slot < arguments.TopK; slot++)
        {
            int best = -1;
            for (int expert = 0; expert < experts; expert++)
            {
                bool isTaken = false;
                for (int earlier = 0; earlier < slot; earlier++)
                    isTaken |= chosen[earlier] == expert;
                if (!isTaken && (best < 0 || probabilities[expert] > probabilities[best]))
                    best = expert;
            }

            chosen[slot] = best;
            weights[slot] = probabilities[best];
            taken += probabilities[best];
        }

        for (int slot = 0; slot < arguments.TopK; slot++)
            weights[slot] /= taken;
    }

    /// <summary>z of the chosen experts, by place (y: token, then slot) and rows (x).</summary>
    public static void Shrink<TExperts>(GatedArguments arguments)
        where TExperts : struct, IElements
    {
        int row = FirstRow(Threads), token = Grid.IdxY / arguments.TopK, expert = arguments.Chosen[Grid.IdxY];
        int first = expert * arguments.Rank;
        var dots = Dots<TExperts>(
            Threads, arguments.Downs, first + row, 0, arguments.Downs.Columns, arguments.Input, token);
        var sums = Sum(Threads, dots);
        if (Group.IdxX > 0)
            return;
        for (int i = 0; i < FewRows && row + i < arguments.Rank; i++)
        {
            arguments.Inner[(token * arguments.InnerStride) + first + row + i] =
                arguments.ChosenWeights[Grid.IdxY] * Pick(sums, i);
        }
    }

    /// <summary>The outputs, by token (y) and rows (x): a row of W, and of its experts' Ups, are one sum.</summary>
    public static void Expand<TWeights, TExperts>(GatedArguments arguments)
        where TWeights : struct, IElements
        where TExperts : struct, IElements
    {
        int row = FirstRow(Lanes), token = Grid.IdxY;
        var dots = Dots<TWeights>(Lanes, arguments.Weights, row, 0, arguments.Weights.Columns, arguments.Input, token);
        var inner = new DeviceMatrix
        {
            Data = arguments.Inner.Cast<byte>(),
            Base = default,
            Rows = arguments.Tokens,
            Columns = arguments.Ups.Columns,
            RowStride = arguments.InnerStride,
            ColumnStride = 1,
        };
        for (int slot = 0; slot < arguments.TopK; slot++)
        {
            int first = arguments.Chosen[(token * arguments.TopK) + slot] * arguments.Rank;
            dots = Plus(dots, Dots<TExperts>(Lanes, arguments.Ups, row, first, arguments.Rank, inner, token));
        }

        var sums = Sum(Lanes, dots);
        if (Group.IdxX % Lanes > 0)
            return;
        for (int i = 0; i < FewRows && row + i < arguments.Weights.Rows; i++)
        {
            float sum = Pick(sums, i) + Bias(arguments, token, row + i);
            arguments.Output.Data.Cast<float>()[(token * arguments.Output.RowStride) + row + i] = sum;
        }
    }

    /// <summary>
    /// For many tokens, whose z of all experts is one product: times the weights, zero where not chosen.
    /// </summary>
    public static void Weigh(GatedArguments arguments)
    {
        int width = arguments.Experts * arguments.Rank;
        long length = (long)arguments.Tokens * width;
        for (long i = Grid.LongGlobalIndex.X; i < length; i += GridStride.X)
        {
            int token = (int)(i / width), column = (int)(i % width);
            float weight = 0;
            bool isChosen = false;
            for (int slot = 0; slot < arguments.TopK; slot++)
            {
                int place = (token * arguments.TopK) + slot;
                if (arguments.Chosen[place] == column / arguments.Rank)
                    (weight, isChosen) = (arguments.ChosenWeights[place], true);
            }

            long at = ((long)token * arguments.InnerStride) + column;
            arguments.Inner[at] = isChosen ? weight * arguments.Inner[at] : 0;
        }
    }

    /// <summary>For many tokens: adds the biases to the finished products.</summary>
    public static void AddBiases(GatedArguments arguments)
    {
        var output = arguments.Output.Data.Cast<float>();
        long length = (long)arguments.Tokens * arguments.Weights.Rows;
        for (long i = Grid.LongGlobalIndex.X; i < length; i += GridStride.X)
        {
            int token = (int)(i / arguments.Weights.Rows), row = (int)(i % arguments.Weights.Rows);
            output[(token * arguments.Output.RowStride) + row] += Bias(arguments, token, row);
        }
    }

    /// <summary>The first of the four rows that this thread shares with others.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int FirstRow(int lanes) => ((Grid.IdxX * (Threads / lanes)) + (Group.IdxX / lanes)) * FewRows;

    private static float ScoreOf(in GatedArguments arguments, int token, int expert)
    {
        if (arguments.Experts == 1)
            return 1;
        double sum = 0;
        for (int i = expert * arguments.GateRank; i < (expert + 1) * arguments.GateRank; i++)
        {
            double product = arguments.Products[(token * arguments.ProductsStride) + i] * arguments.GateScales[i];
            sum += product * product;
        }

        return (float)Math.Sqrt(sum);
    }

    /// <summary>b, and the chosen experts' biases times their weights.</summary>
    private static float Bias(in GatedArguments arguments, int token, int row)
    {
        int outputs = arguments.Weights.Rows;
        float sum = arguments.Biases[row];
        for (int slot = 0; slot < arguments.TopK; slot++)
        {
            int place = (token * arguments.TopK) + slot;
            long bias = ((1L + arguments.Chosen[place]) * outputs) + row;
            sum += arguments.ChosenWeights[place] * arguments.Biases[bias];
        }

        return sum;
    }

    /// <summary>
    /// This thread's part of four rows' products with a token: every lanes-th group of eight elements of columns
    /// <paramref name="first"/> to <paramref name="first"/> + <paramref name="count"/>, and an element of the rest.
    /// Rows past the last give the last one's.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Row4<float> Dots<TElements>(
        int lanes, in DeviceMatrix matrix, int row, int first, int count, in DeviceMatrix tokens, int token)
        where TElements : struct, IElements
    {
        int lane = Group.IdxX % lanes, last = matrix.Rows - 1;
        long r0 = (IntrinsicMath.Min(row, last) * matrix.RowStride) + first;
        long r1 = (IntrinsicMath.Min(row + 1, last) * matrix.RowStride) + first;
        long r2 = (IntrinsicMath.Min(row + 2, last) * matrix.RowStride) + first;
        long r3 = (IntrinsicMath.Min(row + 3, last) * matrix.RowStride) + first;
        long x = (token * tokens.RowStride) + first;
        var sums = default(Row4<float>);
        int i = 8 * lane;
        for (; i + 8 <= count; i += 8 * lanes)
        {
            StoredGroup w0 = TElements.Read(matrix, r0 + i), w1 = TElements.Read(matrix, r1 + i);
            StoredGroup w2 = TElements.Read(matrix, r2 + i), w3 = TElements.Read(matrix, r3 + i);
            Eight elements = StoredElements<F32Codec>.Decode(StoredElements<F32Codec>.Read(tokens, x + i));
            sums.X0 = Add(sums.X0, TElements.Decode(w0), elements);
            sums.X1 = Add(sums.X1, TElements.Decode(w1), elements);
            sums.X2 = Add(sums.X2, TElements.Decode(w2), elements);
            sums.X3 = Add(sums.X3, TElements.Decode(w3), elements);
        }

        i = (count & ~7) + lane;
        if (i < count)
        {
            float element = StoredElements<F32Codec>.Load(tokens.Data, x + i);
            sums.X0 += TElements.Load(matrix, r0 + i) * element;
            sums.X1 += TElements.Load(matrix, r1 + i) * element;
            sums.X2 += TElements.Load(matrix, r2 + i) * element;
            sums.X3 += TElements.Load(matrix, r3 + i) * element;
        }

        return sums;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static float Add(float sum, Eight left, Eight right)
    {
        sum += left.Low.Low.Low.Value * right.Low.Low.Low.Value;
        sum += left.Low.Low.High.Value * right.Low.Low.High.Value;
        sum += left.Low.High.Low.Value * right.Low.High.Low.Value;
        sum += left.Low.High.High.Value * right.Low.High.High.Value;
        sum += left.High.Low.Low.Value * right.High.Low.Low.Value;
        sum += left.High.Low.High.Value * right.High.Low.High.Value;
        sum += left.High.High.Low.Value * right.High.High.Low.Value;
        return sum + (left.High.High.High.Value * right.High.High.High.Value);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Row4<float> Plus(in Row4<float> left, in Row4<float> right) => new()
    {
        X0 = left.X0 + right.X0,
        X1 = left.X1 + right.X1,
        X2 = left.X2 + right.X2,
        X3 = left.X3 + right.X3,
    };

    /// <summary>The sums over neighbouring threads, in the first of them, by halves: in one order.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Row4<float> Sum(int lanes, in Row4<float> part)
    {
        var parts = SharedMemory.Allocate<Row4<float>>(Threads);
        int thread = Group.IdxX, lane = thread % lanes;
        parts[thread] = part;
        for (int half = lanes / 2; half > 0; half /= 2)
        {
            Group.Barrier();
            if (lane < half)
                parts[thread] = Plus(parts[thread], parts[thread + half]);
        }

        return parts[thread];
    }

    private static float Pick(in Row4<float> row, int i) =>
        i == 0 ? row.X0 : i == 1 ? row.X1 : i == 2 ? row.X2 : row.X3;
}
