import com.sun.net.httpserver.HttpServer;
import java.net.InetSocketAddress;
import java.util.Arrays;
import java.util.TreeMap;

/** A shop's session store. With LEAK=1 no session is ever forgotten. The agent adds the telemetry. */
public final class Service {
  private static final int SESSIONS_KEPT = 100;
  private static final TreeMap<Integer, byte[]> sessions = new TreeMap<>();
  private static int visitors;

  public static void main(String[] arguments) throws Exception {
    boolean leaks = "1".equals(System.getenv("LEAK"));
    int sessionBytes = setting("SESSION_BYTES", 65536);
    var server = HttpServer.create(new InetSocketAddress("127.0.0.1", setting("PORT", 8080)), 0);
    server.createContext("/", exchange -> {
      byte[] session = new byte[sessionBytes];
      Arrays.fill(session, (byte) 1);
      sessions.put(++visitors, session);
      if (!leaks && sessions.size() > SESSIONS_KEPT) {
        sessions.pollFirstEntry();
      }
      byte[] text = "{\"sessions\":%d}".formatted(sessions.size()).getBytes();
      exchange.sendResponseHeaders(200, text.length);
      exchange.getResponseBody().write(text);
      exchange.close();
    });
    server.start(); // its one thread handles all requests
  }

  private static int setting(String name, int otherwise) {
    String value = System.getenv(name);
    return value == null ? otherwise : Integer.parseInt(value);
  }
}
