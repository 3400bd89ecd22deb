import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import software.amazon.event.ruler.Machine;

/**
 * event-ruler as a peer of the filter benchmark. Reads commands from standard input, a line each, and answers with a line:
 *
 *   load PATTERNS EVENTS   files with a pattern or an event a line; answers "ready"
 *   run SECONDS            judges all events again and again for at least that much CPU time of this thread; answers
 *                          "EVENTS NANOSECONDS MATCHED": events judged, CPU time spent, events that matched in one pass
 */
public final class RulerPeer {
  private static final ThreadMXBean THREADS = ManagementFactory.getThreadMXBean();

  public static void main(String[] arguments) throws Exception {
    BufferedReader commands = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    Machine machine = null;
    String[] events = {};
    for (String line = commands.readLine(); line != null; line = commands.readLine()) {
      String[] words = line.split(" ");
      if (words[0].equals("load")) {
        machine = new Machine();
        int number = 0;
        for (String pattern : Files.readAllLines(Path.of(words[1]))) machine.addRule("rule" + number++, pattern);
        List<String> lines = Files.readAllLines(Path.of(words[2]));
        events = lines.toArray(new String[0]);
        System.out.println("ready");
      } else {
        System.out.println(run(machine, events, (long) (Double.parseDouble(words[1]) * 1e9)));
      }
    }
  }

  private static String run(Machine machine, String[] events, long nanoseconds) throws Exception {
    long judged = 0;
    int matched = 0;
    long start = THREADS.getCurrentThreadCpuTime();
    long spent;
    do {
      matched = 0;
      for (String event : events) if (!machine.rulesForJSONEvent(event).isEmpty()) matched++;
      judged += events.length;
      spent = THREADS.getCurrentThreadCpuTime() - start;
    } while (spent < nanoseconds);
    return judged + " " + spent + " " + matched;
  }
}
