using System.Runtime.CompilerServices;
using ILGPU.Runtime.Cuda;

namespace FusionKernels.Kernels.Ilgpu.DeviceCode;

/// <summary>
/// The 64 x 64 sums of a warp in 128 registers of each of its threads, and what the tensor cores do with them. The
/// registers have names in PTX and none in C#, where a variable that inline PTX changes would live in memory: s0 to
/// s127 are the sums, a0 to a15 64 rows by 16 steps of the left matrix, b0 to b3 16 steps by 16 columns of the right
/// one. The sums of 16 columns, a part, are 32 registers: eight for 16 rows, four for 8 columns of them. On their way
/// out a thread takes four columns of every eighth row: g0 to g7 are the addresses, v0 to v7 say which rows there are,
/// o0 to o31 are what was there before.
/// </summary>
internal static class TensorTile
{
    private const string Mma = "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 ";
    private const string Rows0 = "{a0, a1, a2, a3}, ", Rows16 = "{a4, a5, a6, a7}, ", Rows32 = "{a8, a9, a10, a11}, ";
    private const string Rows48 = "{a12, a13, a14, a15}, ", Columns0 = "{b0, b1}, ", Columns8 = "{b2, b3}, ";

    /// <summary>Declares the registers; once in a kernel.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Declare() => CudaAsm.Emit("""
            .reg .f32 s<128>; .reg .b32 a<16>; .reg .b32 b<4>;
            .reg .f32 o<32>; .reg .f32 t<4>; .reg .b64 g<8>; .reg .pred v<8>;
            """);

    /// <summary>Makes all sums zero.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Clear() => CudaAsm.Emit("""
            mov.f32 s0, 0f00000000; mov.f32 s1, 0f00000000; mov.f32 s2, 0f00000000; mov.f32 s3, 0f00000000;
            mov.f32 s4, 0f00000000; mov.f32 s5, 0f00000000; mov.f32 s6, 0f00000000; mov.f32 s7, 0f00000000;
            mov.f32 s8, 0f00000000; mov.f32 s9, 0f00000000; mov.f32 s10, 0f00000000; mov.f32 s11, 0f00000000;
            mov.f32 s12, 0f00000000; mov.f32 s13, 0f00000000; mov.f32 s14, 0f00000000; mov.f32 s15, 0f00000000;
            mov.f32 s16, 0f00000000; mov.f32 s17, 0f00000000; mov.f32 s18, 0f00000000; mov.f32 s19, 0f00000000;
            mov.f32 s20, 0f00000000; mov.f32 s21, 0f00000000; mov.f32 s22, 0f00000000; mov.f32 s23, 0f00000000;
            mov.f32 s24, 0f00000000; mov.f32 s25, 0f00000000; mov.f32 s26, 0f00000000; mov.f32 s27, 0f00000000;
            mov.f32 s28, 0f00000000; mov.f32 s29, 0f00000000; mov.f32 s30, 0f00000000; mov.f32 s31, 0f00000000;
            mov.f32 s32, 0f00000000; mov.f32 s33, 0f00000000; mov.f32 s34, 0f00000000; mov.f32 s35, 0f00000000;
            mov.f32 s36, 0f00000000; mov.f32 s37, 0f00000000; mov.f32 s38, 0f00000000; mov.f32 s39, 0f00000000;
            mov.f32 s40, 0f00000000; mov.f32 s41, 0f00000000; mov.f32 s42, 0f00000000; mov.f32 s43, 0f00000000;
            mov.f32 s44, 0f00000000; mov.f32 s45, 0f00000000; mov.f32 s46, 0f00000000; mov.f32 s47, 0f00000000;
            mov.f32 s48, 0f00000000; mov.f32 s49, 0f00000000; mov.f32 s50, 0f00000000; mov.f32 s51, 0f00000000;
            mov.f32 s52, 0f00000000; mov.f32 s53, 0f00000000; mov.f32 s54, 0f00000000; mov.f32 s55, 0f00000000;
            mov.f32 s56, 0f00000000; mov.f32 s57, 0f00000000; mov.f32 s58, 0f00000000; mov.f32 s59, 0f00000000;
            mov.f32 s60, 0f00000000; mov.f32 s61, 0f00000000; mov.f32 s62, 0f00000000; mov.f32 s63, 0f00000000;
            mov.f32 s64, 0f00000000; mov.f32 s65, 0f00000000; mov.f32 s66, 0f00000000; mov.f32 s67, 0f00000000;
            mov.f32 s68, 0f00000000; mov.f32 s69, 0f00000000; mov.f32 s70, 0f00000000; mov.f32 s71, 0f00000000;
            mov.f32 s72, 0f00000000; mov.f32 s73, 0f00000000; mov.f32 s74, 0f00000000; mov.f32 s75, 0f00000000;
            mov.f32 s76, 0f00000000; mov.f32 s77, 0f00000000; mov.f32 s78, 0f00000000; mov.f32 s79, 0f00000000;
            mov.f32 s80, 0f00000000; mov.f32 s81, 0f00000000; mov.f32 s82, 0f00000000; mov.f32 s83, 0f00000000;
            mov.f32 s84, 0f00000000; mov.f32 s85, 0f00000000; mov.f32 s86, 0f00000000; mov.f32 s87, 0f00000000;
            mov.f32 s88, 0f00000000; mov.f32 s89, 0f00000000; mov.f32 s90, 0f00000000; mov.f32 s91, 0f00000000;
            mov.f32 s92, 0f00000000; mov.f32 s93, 0f00000000; mov.f32 s94, 0f00000000; mov.f32 s95, 0f00000000;
            mov.f32 s96, 0f00000000; mov.f32 s97, 0f00000000; mov.f32 s98, 0f00000000; mov.f32 s99, 0f00000000;
            mov.f32 s100, 0f00000000; mov.f32 s101, 0f00000000; mov.f32 s102, 0f00000000; mov.f32 s103, 0f00000000;
            mov.f32 s104, 0f00000000; mov.f32 s105, 0f00000000; mov.f32 s106, 0f00000000; mov.f32 s107, 0f00000000;
            mov.f32 s108, 0f00000000; mov.f32 s109, 0f00000000; mov.f32 s110, 0f00000000; mov.f32 s111, 0f00000000;
            mov.f32 s112, 0f00000000; mov.f32 s113, 0f00000000; mov.f32 s114, 0f00000000; mov.f32 s115, 0f00000000;
            mov.f32 s116, 0f00000000; mov.f32 s117, 0f00000000; mov.f32 s118, 0f00000000; mov.f32 s119, 0f00000000;
            mov.f32 s120, 0f00000000; mov.f32 s121, 0f00000000; mov.f32 s122, 0f00000000; mov.f32 s123, 0f00000000;
            mov.f32 s124, 0f00000000; mov.f32 s125, 0f00000000; mov.f32 s126, 0f00000000; mov.f32 s127, 0f00000000;
            """);

    /// <summary>Loads 64 rows by 16 steps of the left matrix.</summary>
    /// <param name="transposed">Whether shared memory holds steps by rows.</param>
    /// <param name="rows0">Where this thread's eight elements of rows 0 to 15 lie.</param>
    /// <param name="rows16">Of rows 16 to 31.</param>
    /// <param name="rows32">Of rows 32 to 47.</param>
    /// <param name="rows48">Of rows 48 to 63.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void LoadLeft(bool transposed, uint rows0, uint rows16, uint rows32, uint rows48)
    {
        if (transposed)
        {
            CudaAsm.Emit(
                """
                ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {a0, a1, a2, a3}, [%0];
                ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {a4, a5, a6, a7}, [%1];
                ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {a8, a9, a10, a11}, [%2];
                ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {a12, a13, a14, a15}, [%3];
                """,
                rows0, rows16, rows32, rows48);
        }
        else
        {
            CudaAsm.Emit(
                """
                ldmatrix.sync.aligned.m8n8.x4.shared.b16 {a0, a1, a2, a3}, [%0];
                ldmatrix.sync.aligned.m8n8.x4.shared.b16 {a4, a5, a6, a7}, [%1];
                ldmatrix.sync.aligned.m8n8.x4.shared.b16 {a8, a9, a10, a11}, [%2];
                ldmatrix.sync.aligned.m8n8.x4.shared.b16 {a12, a13, a14, a15}, [%3];
                """,
                rows0, rows16, rows32, rows48);
        }
    }

    /// <summary>Loads 16 steps by 16 columns of the right matrix.</summary>
    /// <param name="transposed">Whether shared memory holds steps by columns.</param>
    /// <param name="columns">Where this thread's eight elements lie.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void LoadRight(bool transposed, uint columns)
    {
        if (transposed)
            CudaAsm.Emit("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {b0, b1, b2, b3}, [%0];", columns);
        else
            CudaAsm.Emit("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {b0, b1, b2, b3}, [%0];", columns);
    }

    /// <summary>Adds to a part's sums the products of what is loaded.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Multiply(int part)
    {
        if (part == 0)
        {
            CudaAsm.Emit(
                Mma + "{s0, s1, s2, s3}, " + Rows0 + Columns0 + "{s0, s1, s2, s3};"
                + Mma + "{s4, s5, s6, s7}, " + Rows0 + Columns8 + "{s4, s5, s6, s7};"
                + Mma + "{s8, s9, s10, s11}, " + Rows16 + Columns0 + "{s8, s9, s10, s11};"
                + Mma + "{s12, s13, s14, s15}, " + Rows16 + Columns8 + "{s12, s13, s14, s15};"
                + Mma + "{s16, s17, s18, s19}, " + Rows32 + Columns0 + "{s16, s17, s18, s19};"
                + Mma + "{s20, s21, s22, s23}, " + Rows32 + Columns8 + "{s20, s21, s22, s23};"
                + Mma + "{s24, s25, s26, s27}, " + Rows48 + Columns0 + "{s24, s25, s26, s27};"
                + Mma + "{s28, s29, s30, s31}, " + Rows48 + Columns8 + "{s28, s29, s30, s31};");
        }
        else if (part == 1)
        {
            CudaAsm.Emit(
                Mma + "{s32, s33, s34, s35}, " + Rows0 + Columns0 + "{s32, s33, s34, s35};"
                + Mma + "{s36, s37, s38, s39}, " + Rows0 + Columns8 + "{s36, s37, s38, s39};"
                + Mma + "{s40, s41, s42, s43}, " + Rows16 + Columns0 + "{s40, s41, s42, s43};"
                + Mma + "{s44, s45, s46, s47}, " + Rows16 + Columns8 + "{s44, s45, s46, s47};"
                + Mma + "{s48, s49, s50, s51}, " + Rows32 + Columns0 + "{s48, s49, s50, s51};"
                + Mma + "{s52, s53, s54, s55}, " + Rows32 + Columns8 + "{s52, s53, s54, s55};"
                + Mma + "{s56, s57, s58, s59}, " + Rows48 + Columns0 + "{s56, s57, s58, s59};"
                + Mma + "{s60, s61, s62, s63}, " + Rows48 + Columns8 + "{s60, s61, s62, s63};");
        }
        else if (part == 2)
        {
            CudaAsm.Emit(
                Mma + "{s64, s65, s66, s67}, " + Rows0 + Columns0 + "{s64, s65, s66, s67};"
                + Mma + "{s68, s69, s70, s71}, " + Rows0 + Columns8 + "{s68, s69, s70, s71};"
                + Mma + "{s72, s73, s74, s75}, " + Rows16 + Columns0 + "{s72, s73, s74, s75};"
                + Mma + "{s76, s77, s78, s79}, " + Rows16 + Columns8 + "{s76, s77, s78, s79};"
                + Mma + "{s80, s81, s82, s83}, " + Rows32 + Columns0 + "{s80, s81, s82, s83};"
                + Mma + "{s84, s85, s86, s87}, " + Rows32 + Columns8 + "{s84, s85, s86, s87};"
                + Mma + "{s88, s89, s90, s91}, " + Rows48 + Columns0 + "{s88, s89, s90, s91};"
                + Mma + "{s92, s93, s94, s95}, " + Rows48 + Columns8 + "{s92, s93, s94, s95};");
        }
        else
        {
            CudaAsm.Emit(
                Mma + "{s96, s97, s98, s99}, " + Rows0 + Columns0 + "{s96, s97, s98, s99};"
                + Mma + "{s100, s101, s102, s103}, " + Rows0 + Columns8 + "{s100, s101, s102, s103};"
                + Mma + "{s104, s105, s106, s107}, " + Rows16 + Columns0 + "{s104, s105, s106, s107};"
                + Mma + "{s108, s109, s110, s111}, " + Rows16 + Columns8 + "{s108, s109, s110, s111};"
                + Mma + "{s112, s113, s114, s115}, " + Rows32 + Columns0 + "{s112, s113, s114, s115};"
                + Mma + "{s116, s117, s118, s119}, " + Rows32 + Columns8 + "{s116, s117, s118, s119};"
                + Mma + "{s120, s121, s122, s123}, " + Rows48 + Columns0 + "{s120, s121, s122, s123};"
                + Mma + "{s124, s125, s126, s127}, " + Rows48 + Columns8 + "{s124, s125, s126, s127};");
        }
    }

    /// <summary>Puts a part's sums into shared memory, rows of 16 at a distance of 80 bytes.</summary>
    /// <param name="part">Which 16 columns.</param>
    /// <param name="shared">Where this thread's first sum goes: row lane / 4, column 2 (lane mod 4).</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(int part, uint shared)
    {
        if (part == 0)
        {
            CudaAsm.Emit("""
                st.shared.v2.f32 [%0 + 0], {s0, s1}; st.shared.v2.f32 [%0 + 640], {s2, s3};
                st.shared.v2.f32 [%0 + 32], {s4, s5}; st.shared.v2.f32 [%0 + 672], {s6, s7};
                st.shared.v2.f32 [%0 + 1280], {s8, s9}; st.shared.v2.f32 [%0 + 1920], {s10, s11};
                st.shared.v2.f32 [%0 + 1312], {s12, s13}; st.shared.v2.f32 [%0 + 1952], {s14, s15};
                st.shared.v2.f32 [%0 + 2560], {s16, s17}; st.shared.v2.f32 [%0 + 3200], {s18, s19};
                st.shared.v2.f32 [%0 + 2592], {s20, s21}; st.shared.v2.f32 [%0 + 3232], {s22, s23};
                st.shared.v2.f32 [%0 + 3840], {s24, s25}; st.shared.v2.f32 [%0 + 4480], {s26, s27};
                st.shared.v2.f32 [%0 + 3872], {s28, s29}; st.shared.v2.f32 [%0 + 4512], {s30, s31};
                """, shared);
        }
        else if (part == 1)
        {
            CudaAsm.Emit("""
                st.shared.v2.f32 [%0 + 0], {s32, s33}; st.shared.v2.f32 [%0 + 640], {s34, s35};
                st.shared.v2.f32 [%0 + 32], {s36, s37}; st.shared.v2.f32 [%0 + 672], {s38, s39};
                st.shared.v2.f32 [%0 + 1280], {s40, s41}; st.shared.v2.f32 [%0 + 1920], {s42, s43};
                st.shared.v2.f32 [%0 + 1312], {s44, s45}; st.shared.v2.f32 [%0 + 1952], {s46, s47};
                st.shared.v2.f32 [%0 + 2560], {s48, s49}; st.shared.v2.f32 [%0 + 3200], {s50, s51};
                st.shared.v2.f32 [%0 + 2592], {s52, s53}; st.shared.v2.f32 [%0 + 3232], {s54, s55};
                st.shared.v2.f32 [%0 + 3840], {s56, s57}; st.shared.v2.f32 [%0 + 4480], {s58, s59};
                st.shared.v2.f32 [%0 + 3872], {s60, s61}; st.shared.v2.f32 [%0 + 4512], {s62, s63};
                """, shared);
        }
        else if (part == 2)
        {
            CudaAsm.Emit("""
                st.shared.v2.f32 [%0 + 0], {s64, s65}; st.shared.v2.f32 [%0 + 640], {s66, s67};
                st.shared.v2.f32 [%0 + 32], {s68, s69}; st.shared.v2.f32 [%0 + 672], {s70, s71};
                st.shared.v2.f32 [%0 + 1280], {s72, s73}; st.shared.v2.f32 [%0 + 1920], {s74, s75};
                st.shared.v2.f32 [%0 + 1312], {s76, s77}; st.shared.v2.f32 [%0 + 1952], {s78, s79};
                st.shared.v2.f32 [%0 + 2560], {s80, s81}; st.shared.v2.f32 [%0 + 3200], {s82, s83};
                st.shared.v2.f32 [%0 + 2592], {s84, s85}; st.shared.v2.f32 [%0 + 3232], {s86, s87};
                st.shared.v2.f32 [%0 + 3840], {s88, s89}; st.shared.v2.f32 [%0 + 4480], {s90, s91};
                st.shared.v2.f32 [%0 + 3872], {s92, s93}; st.shared.v2.f32 [%0 + 4512], {s94, s95};
                """, shared);
        }
        else
        {
            CudaAsm.Emit("""
                st.shared.v2.f32 [%0 + 0], {s96, s97}; st.shared.v2.f32 [%0 + 640], {s98, s99};
                st.shared.v2.f32 [%0 + 32], {s100, s101}; st.shared.v2.f32 [%0 + 672], {s102, s103};
                st.shared.v2.f32 [%0 + 1280], {s104, s105}; st.shared.v2.f32 [%0 + 1920], {s106, s107};
                st.shared.v2.f32 [%0 + 1312], {s108, s109}; st.shared.v2.f32 [%0 + 1952], {s110, s111};
                st.shared.v2.f32 [%0 + 2560], {s112, s113}; st.shared.v2.f32 [%0 + 3200], {s114, s115};
                st.shared.v2.f32 [%0 + 2592], {s116, s117}; st.shared.v2.f32 [%0 + 3232], {s118, s119};
                st.shared.v2.f32 [%0 + 3840], {s120, s121}; st.shared.v2.f32 [%0 + 4480], {s122, s123};
                st.shared.v2.f32 [%0 + 3872], {s124, s125}; st.shared.v2.f32 [%0 + 4512], {s126, s127};
                """, shared);
        }
    }

    /// <summary>Where four columns of every eighth row go, and that nothing is there yet.</summary>
    /// <param name="address">Of the first row, a multiple of 16.</param>
    /// <param name="step">Bytes from one of the rows to the next.</param>
    /// <param name="rows">How many rows of the matrix are left from the first one on.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Aim(long address, long step, int rows) => CudaAsm.Emit(
        """
        mov.b64 g0, %0; add.s64 g1, g0, %1; add.s64 g2, g1, %1; add.s64 g3, g2, %1;
        add.s64 g4, g3, %1; add.s64 g5, g4, %1; add.s64 g6, g5, %1; add.s64 g7, g6, %1;
        setp.gt.s32 v0, %2, 0; setp.gt.s32 v1, %2, 8; setp.gt.s32 v2, %2, 16; setp.gt.s32 v3, %2, 24;
        setp.gt.s32 v4, %2, 32; setp.gt.s32 v5, %2, 40; setp.gt.s32 v6, %2, 48; setp.gt.s32 v7, %2, 56;
        mov.f32 o0, 0f80000000; mov.f32 o1, 0f80000000; mov.f32 o2, 0f80000000; mov.f32 o3, 0f80000000;
        mov.f32 o4, 0f80000000; mov.f32 o5, 0f80000000; mov.f32 o6, 0f80000000; mov.f32 o7, 0f80000000;
        mov.f32 o8, 0f80000000; mov.f32 o9, 0f80000000; mov.f32 o10, 0f80000000; mov.f32 o11, 0f80000000;
        mov.f32 o12, 0f80000000; mov.f32 o13, 0f80000000; mov.f32 o14, 0f80000000; mov.f32 o15, 0f80000000;
        mov.f32 o16, 0f80000000; mov.f32 o17, 0f80000000; mov.f32 o18, 0f80000000; mov.f32 o19, 0f80000000;
        mov.f32 o20, 0f80000000; mov.f32 o21, 0f80000000; mov.f32 o22, 0f80000000; mov.f32 o23, 0f80000000;
        mov.f32 o24, 0f80000000; mov.f32 o25, 0f80000000; mov.f32 o26, 0f80000000; mov.f32 o27, 0f80000000;
        mov.f32 o28, 0f80000000; mov.f32 o29, 0f80000000; mov.f32 o30, 0f80000000; mov.f32 o31, 0f80000000;
        """,
        address, step, rows);

    /// <summary>Reads what is there, all rows at once, times a factor.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void ReadOld(float factor) => CudaAsm.Emit(
        """
        @v0 ld.global.v4.f32 {o0, o1, o2, o3}, [g0];
        @v1 ld.global.v4.f32 {o4, o5, o6, o7}, [g1];
        @v2 ld.global.v4.f32 {o8, o9, o10, o11}, [g2];
        @v3 ld.global.v4.f32 {o12, o13, o14, o15}, [g3];
        @v4 ld.global.v4.f32 {o16, o17, o18, o19}, [g4];
        @v5 ld.global.v4.f32 {o20, o21, o22, o23}, [g5];
        @v6 ld.global.v4.f32 {o24, o25, o26, o27}, [g6];
        @v7 ld.global.v4.f32 {o28, o29, o30, o31}, [g7];
        mul.rn.f32 o0, o0, %0; mul.rn.f32 o1, o1, %0; mul.rn.f32 o2, o2, %0; mul.rn.f32 o3, o3, %0;
        mul.rn.f32 o4, o4, %0; mul.rn.f32 o5, o5, %0; mul.rn.f32 o6, o6, %0; mul.rn.f32 o7, o7, %0;
        mul.rn.f32 o8, o8, %0; mul.rn.f32 o9, o9, %0; mul.rn.f32 o10, o10, %0; mul.rn.f32 o11, o11, %0;
        mul.rn.f32 o12, o12, %0; mul.rn.f32 o13, o13, %0; mul.rn.f32 o14, o14, %0; mul.rn.f32 o15, o15, %0;
        mul.rn.f32 o16, o16, %0; mul.rn.f32 o17, o17, %0; mul.rn.f32 o18, o18, %0; mul.rn.f32 o19, o19, %0;
        mul.rn.f32 o20, o20, %0; mul.rn.f32 o21, o21, %0; mul.rn.f32 o22, o22, %0; mul.rn.f32 o23, o23, %0;
        mul.rn.f32 o24, o24, %0; mul.rn.f32 o25, o25, %0; mul.rn.f32 o26, o26, %0; mul.rn.f32 o27, o27, %0;
        mul.rn.f32 o28, o28, %0; mul.rn.f32 o29, o29, %0; mul.rn.f32 o30, o30, %0; mul.rn.f32 o31, o31, %0;
        """,
        factor);

    /// <summary>Writes a part's sums, times a factor, added to what was there; -0 is where nothing was.</summary>
    /// <param name="shared">Where <see cref="Store"/> has put this thread's first four.</param>
    /// <param name="factor">The factor.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Write(uint shared, float factor) => CudaAsm.Emit(
        """
        ld.shared.v4.f32 {t0, t1, t2, t3}, [%0 + 0];
        mul.rn.f32 t0, t0, %1; mul.rn.f32 t1, t1, %1; mul.rn.f32 t2, t2, %1; mul.rn.f32 t3, t3, %1;
        add.rn.f32 t0, t0, o0; add.rn.f32 t1, t1, o1; add.rn.f32 t2, t2, o2; add.rn.f32 t3, t3, o3;
        @v0 st.global.v4.f32 [g0], {t0, t1, t2, t3};
        ld.shared.v4.f32 {t0, t1, t2, t3}, [%0 + 640];
        mul.rn.f32 t0, t0, %1; mul.rn.f32 t1, t1, %1; mul.rn.f32 t2, t2, %1; mul.rn.f32 t3, t3, %1;
        add.rn.f32 t0, t0, o4; add.rn.f32 t1, t1, o5; add.rn.f32 t2, t2, o6; add.rn.f32 t3, t3, o7;
        @v1 st.global.v4.f32 [g1], {t0, t1, t2, t3};
        ld.shared.v4.f32 {t0, t1, t2, t3}, [%0 + 1280];
        mul.rn.f32 t0, t0, %1; mul.rn.f32 t1, t1, %1; mul.rn.f32 t2, t2, %1; mul.rn.f32 t3, t3, %1;
        add.rn.f32 t0, t0, o8; add.rn.f32 t1, t1, o9; add.rn.f32 t2, t2, o10; add.rn.f32 t3, t3, o11;
        @v2 st.global.v4.f32 [g2], {t0, t1, t2, t3};
        ld.shared.v4.f32 {t0, t1, t2, t3}, [%0 + 1920];
        mul.rn.f32 t0, t0, %1; mul.rn.f32 t1, t1, %1; mul.rn.f32 t2, t2, %1; mul.rn.f32 t3, t3, %1;
        add.rn.f32 t0, t0, o12; add.rn.f32 t1, t1, o13; add.rn.f32 t2, t2, o14; add.rn.f32 t3, t3, o15;
        @v3 st.global.v4.f32 [g3], {t0, t1, t2, t3};
        ld.shared.v4.f32 {t0, t1, t2, t3}, [%0 + 2560];
        mul.rn.f32 t0, t0, %1; mul.rn.f32 t1, t1, %1; mul.rn.f32 t2, t2, %1; mul.rn.f32 t3, t3, %1;
        add.rn.f32 t0, t0, o16; add.rn.f32 t1, t1, o17; add.rn.f32 t2, t2, o18; add.rn.f32 t3, t3, o19;
        @v4 st.global.v4.f32 [g4], {t0, t1, t2, t3};
        ld.shared.v4.f32 {t0, t1, t2, t3}, [%0 + 3200];
        mul.rn.f32 t0, t0, %1; mul.rn.f32 t1, t1, %1; mul.rn.f32 t2, t2, %1; mul.rn.f32 t3, t3, %1;
        add.rn.f32 t0, t0, o20; add.rn.f32 t1, t1, o21; add.rn.f32 t2, t2, o22; add.rn.f32 t3, t3, o23;
        @v5 st.global.v4.f32 [g5], {t0, t1, t2, t3};
        ld.shared.v4.f32 {t0, t1, t2, t3}, [%0 + 3840];
        mul.rn.f32 t0, t0, %1; mul.rn.f32 t1, t1, %1; mul.rn.f32 t2, t2, %1; mul.rn.f32 t3, t3, %1;
        add.rn.f32 t0, t0, o24; add.rn.f32 t1, t1, o25; add.rn.f32 t2, t2, o26; add.rn.f32 t3, t3, o27;
        @v6 st.global.v4.f32 [g6], {t0, t1, t2, t3};
        ld.shared.v4.f32 {t0, t1, t2, t3}, [%0 + 4480];
        mul.rn.f32 t0, t0, %1; mul.rn.f32 t1, t1, %1; mul.rn.f32 t2, t2, %1; mul.rn.f32 t3, t3, %1;
        add.rn.f32 t0, t0, o28; add.rn.f32 t1, t1, o29; add.rn.f32 t2, t2, o30; add.rn.f32 t3, t3, o31;
        @v7 st.global.v4.f32 [g7], {t0, t1, t2, t3};
        """,
        shared, factor);
}
