// The AWS reference implementation behind the protocol of worker.ts.
import com.amazon.randomcutforest.RandomCutForest;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;

public class Reference {
    static int state = 12345;

    static double random() {
        state += 0x6d2b79f5;
        int t = (state ^ (state >>> 15)) * (1 | state);
        t = (t + (t ^ (t >>> 7)) * (61 | t)) ^ t;
        return ((t ^ (t >>> 14)) & 0xffffffffL) / 4294967296.0;
    }

    static double gaussian() {
        double u = random();
        while (u == 0) u = random();
        return Math.sqrt(-2 * Math.log(u)) * Math.cos(2 * Math.PI * random());
    }

    static RandomCutForest forest;
    static double[][] rows;
    static int at = 0;
    static double sum = 0;

    /** Scores and learns blocks of records for so many seconds of CPU time; nanoseconds a record. */
    static double work(double seconds) {
        ThreadMXBean threads = ManagementFactory.getThreadMXBean();
        long started = threads.getCurrentThreadCpuTime();
        long points = 0;
        while (true) {
            for (int k = 0; k < 500; k++, at++) {
                sum += forest.getAnomalyScore(rows[at % rows.length]);
                forest.update(rows[at % rows.length]);
            }
            points += 500;
            long taken = threads.getCurrentThreadCpuTime() - started;
            if (taken >= seconds * 1e9) return (double) taken / points;
        }
    }

    public static void main(String[] arguments) throws Exception {
        int base = Integer.parseInt(arguments[0]);
        int shingle = Integer.parseInt(arguments[1]);
        rows = new double[Integer.parseInt(arguments[2])][base];
        double warmUp = Double.parseDouble(arguments[3]);
        double round = Double.parseDouble(arguments[4]);
        for (int t = 0; t < rows.length; t++) {
            for (int j = 0; j < base; j++) {
                rows[t][j] = (1 + 0.1 * j) * Math.sin(2 * Math.PI * t / (50 + 13 * j) + j) + 0.2 * gaussian();
            }
            if (random() < 0.005) {
                int j = (int) Math.floor(random() * base);
                rows[t][j] += random() < 0.5 ? -5 : 5;
            }
        }
        forest = RandomCutForest.builder().dimensions(base * shingle).shingleSize(shingle)
                .internalShinglingEnabled(true).numberOfTrees(50).sampleSize(256).timeDecay(1.0 / 2560).randomSeed(42)
                .boundingBoxCacheFraction(1.0).parallelExecutionEnabled(false).build();
        work(warmUp);
        System.out.println("ready");
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in));
        while (input.readLine() != null) System.out.println(work(round));
        if (!(sum > 0)) throw new IllegalStateException("nothing was scored");
    }
}
