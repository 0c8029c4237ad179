import com.zaxxer.hikari.HikariConfig;
import com.zaxxer.hikari.HikariDataSource;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.Tags;
import io.micrometer.core.instrument.Timer;
import io.micrometer.core.instrument.binder.MeterBinder;
import io.micrometer.core.instrument.binder.jvm.ClassLoaderMetrics;
import io.micrometer.core.instrument.binder.jvm.JvmGcMetrics;
import io.micrometer.core.instrument.binder.jvm.JvmHeapPressureMetrics;
import io.micrometer.core.instrument.binder.jvm.JvmMemoryMetrics;
import io.micrometer.core.instrument.binder.jvm.JvmThreadMetrics;
import io.micrometer.core.instrument.binder.system.FileDescriptorMetrics;
import io.micrometer.core.instrument.binder.system.ProcessorMetrics;
import io.micrometer.core.instrument.binder.system.UptimeMetrics;
import io.micrometer.core.instrument.binder.tomcat.TomcatMetrics;
import io.micrometer.prometheusmetrics.PrometheusConfig;
import io.micrometer.prometheusmetrics.PrometheusMeterRegistry;
import jakarta.persistence.Entity;
import jakarta.persistence.GeneratedValue;
import jakarta.persistence.Id;
import jakarta.servlet.http.HttpServlet;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import java.nio.file.Files;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;
import java.util.logging.Level;
import java.util.logging.Logger;
import org.apache.catalina.Context;
import org.apache.catalina.startup.Tomcat;
import org.hibernate.SessionFactory;
import org.hibernate.cfg.Configuration;
import org.hibernate.stat.HibernateMetrics;

/**
 * A small shop on Tomcat, HikariCP and Hibernate, which tells of itself at /metrics by Micrometer, named as Spring Boot names it.
 * GET /orders sells one, GET /orders?fail=1 fails. Its argument is the host:port to listen at.
 */
public class Shop {
  private final PrometheusMeterRegistry registry = new PrometheusMeterRegistry(PrometheusConfig.DEFAULT);
  private final SessionFactory sessions = database();

  @Entity(name = "Purchase")
  public static class Purchase {
    @Id @GeneratedValue public Long id;
  }

  public static void main(String[] arguments) throws Exception {
    Logger.getLogger("").setLevel(Level.WARNING);
    String[] address = arguments[0].split(":");
    new Shop().serve(address[0], Integer.parseInt(address[1]));
  }

  private SessionFactory database() {
    HikariConfig pool = new HikariConfig();
    pool.setJdbcUrl("jdbc:h2:mem:shop");
    pool.setPoolName("orders");
    pool.setMaximumPoolSize(4);
    pool.setMetricRegistry(registry);
    Configuration configuration = new Configuration().addAnnotatedClass(Purchase.class);
    configuration.getProperties().put("hibernate.connection.datasource", new HikariDataSource(pool));
    configuration.setProperty("hibernate.hbm2ddl.auto", "create");
    configuration.setProperty("hibernate.generate_statistics", "true");
    return configuration.buildSessionFactory();
  }

  private void serve(String host, int port) throws Exception {
    Tomcat tomcat = new Tomcat();
    tomcat.setBaseDir(Files.createTempDirectory("shop").toString());
    tomcat.setPort(port);
    tomcat.getConnector().setProperty("address", host);
    tomcat.getConnector().setProperty("maxThreads", "8");
    tomcat.getConnector().setThrowOnFailure(true);
    tomcat.getEngine().setName("Tomcat");
    Context context = tomcat.addContext("", null);
    handle(context, "/orders", this::order);
    handle(context, "/metrics", request -> registry.scrape());
    tomcat.start();
    List<MeterBinder> binders = List.of(
        new JvmMemoryMetrics(), new JvmGcMetrics(), new JvmHeapPressureMetrics(), new JvmThreadMetrics(), new ClassLoaderMetrics(),
        new ProcessorMetrics(), new FileDescriptorMetrics(), new UptimeMetrics(),
        new TomcatMetrics(context.getManager(), Tags.empty()), new HibernateMetrics(sessions, "shop", Tags.empty()));
    binders.forEach(binder -> binder.bindTo((MeterRegistry) registry));
    System.out.println("listening");
    tomcat.getServer().await();
  }

  private String order(HttpServletRequest request) {
    if (request.getParameter("fail") != null) {
      throw new IllegalStateException("asked to fail");
    }
    sessions.inTransaction(session -> session.persist(new Purchase()));
    byte[] invoice = new byte[4 << 20]; // what there is to collect
    return "sold, " + invoice.length + " bytes\n";
  }

  /** Answers requests for a path, and counts them as Spring Boot does. */
  private void handle(Context context, String path, Function<HttpServletRequest, String> answer) {
    Tomcat.addServlet(context, path, new HttpServlet() {
      @Override
      protected void doGet(HttpServletRequest request, HttpServletResponse response) throws IOException {
        long start = System.nanoTime();
        String exception = "none";
        try {
          response.getWriter().write(answer.apply(request));
        } catch (RuntimeException e) {
          exception = e.getClass().getSimpleName();
          response.setStatus(500);
        }
        Timer.builder("http.server.requests")
            .publishPercentileHistogram()
            .tags("method", "GET", "uri", path, "status", String.valueOf(response.getStatus()), "exception", exception,
                "outcome", response.getStatus() < 400 ? "SUCCESS" : "SERVER_ERROR")
            .register(registry)
            .record(System.nanoTime() - start, TimeUnit.NANOSECONDS);
      }
    });
    context.addServletMappingDecoded(path, path);
  }
}
