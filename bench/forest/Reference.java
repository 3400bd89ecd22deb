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

    public static void main(String[] arguments) throws Exception {
        int base = Integer.parseInt(arguments[0]);
        int shingle = Integer.parseInt(arguments[1]);
        int warmUp = Integer.parseInt(arguments[2]);
        int round = Integer.parseInt(arguments[3]);
        int rounds = Integer.parseInt(arguments[4]);
        double[][] rows = new double[warmUp + round * rounds][base];
        for (int t = 0; t < rows.length; t++) {
            for (int j = 0; j < base; j++) {
                rows[t][j] = (1 + 0.1 * j) * Math.sin(2 * Math.PI * t / (50 + 13 * j) + j) + 0.2 * gaussian();
            }
            if (random() < 0.005) {
                int j = (int) Math.floor(random() * base);
                rows[t][j] += random() < 0.5 ? -5 : 5;
            }
        }
        RandomCutForest forest = RandomCutForest.builder().dimensions(base * shingle).shingleSize(shingle)
                .internalShinglingEnabled(true).numberOfTrees(50).sampleSize(256).timeDecay(1.0 / 2560).randomSeed(42)
                .boundingBoxCacheFraction(1.0).parallelExecutionEnabled(false).build();
        int at = 0;
        for (; at < warmUp; at++) {
            forest.getAnomalyScore(rows[at]);
            forest.update(rows[at]);
        }
        ThreadMXBean threads = ManagementFactory.getThreadMXBean();
        System.out.println("ready");
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in));
        while (input.readLine() != null) {
            long started = threads.getCurrentThreadCpuTime();
            double sum = 0;
            for (int k = 0; k < round; k++, at++) {
                sum += forest.getAnomalyScore(rows[at]);
                forest.update(rows[at]);
            }
            System.out.println((threads.getCurrentThreadCpuTime() - started) + " " + sum);
        }
    }
}
