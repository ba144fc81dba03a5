/*
 * Admin.java
 *	  Administration of the test cluster: what kafka-cluster asks of Kafka.
 *
 * Every official command of Kafka costs one to two seconds of JVM start.  This
 * program does many commands in one start, waits until each has really taken
 * effect (Kafka's own commands return before that), and can be held open by a
 * test, which then pays milliseconds for a command.
 *
 * Commands come as arguments, separated by "--"; the first failure ends the
 * program with exit code 1.  Without any they come from standard input, one
 * a line, words separated by blanks (or by tabs, if the line has a tab, so
 * that a word may hold blanks); each answer is its lines of output and then
 * one line "ok" or "error: ...".
 *
 * The cluster is named by its bootstrap list in the first argument ("-" where
 * no broker is needed: format).
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 */
import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.ExecutionException;
import java.util.stream.Collectors;

import org.apache.kafka.clients.admin.AdminClientConfig;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.ListTopicsOptions;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.QuorumInfo;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.ElectionType;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.TopicPartitionInfo;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.ElectionNotNeededException;
import org.apache.kafka.common.errors.RetriableException;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.errors.TransactionalIdNotFoundException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;
import org.apache.kafka.common.serialization.ByteArraySerializer;

public final class Admin
{
	/* A message of ours for the user, without a stack trace. */
	private static final class Failure extends Exception
	{
		private static final long serialVersionUID = 1L;

		Failure(String message)
		{
			super(message);
		}
	}

	/* What waitFor() asks until it says true. */
	private interface Condition
	{
		boolean holds() throws Exception;
	}

	/* The three partitions of each internal topic are those of these ids. */
	private static final List<String> PROBES = List.of("a", "b", "c");

	private static final long DEADLINE_MS = Long.getLong("deadline.ms", 30000);

	/*
	 * System.nanoTime() at which waiting ends: for all commands given as
	 * arguments together, for each of standard input by itself.
	 */
	private static long deadline;

	private static void startDeadline()
	{
		deadline = System.nanoTime() + DEADLINE_MS * 1000000L;
	}

	private final String bootstrap;
	private org.apache.kafka.clients.admin.Admin client;

	private Admin(String bootstrap)
	{
		this.bootstrap = bootstrap;
	}

	private org.apache.kafka.clients.admin.Admin client()
	{
		if (client == null)
			client = connect(bootstrap);
		return client;
	}

	private static org.apache.kafka.clients.admin.Admin connect(String servers)
	{
		Map<String, Object> conf = new HashMap<>();

		conf.put(AdminClientConfig.BOOTSTRAP_SERVERS_CONFIG, servers);
		conf.put(AdminClientConfig.RECONNECT_BACKOFF_MS_CONFIG, 50);
		conf.put(AdminClientConfig.RECONNECT_BACKOFF_MAX_MS_CONFIG, 250);
		conf.put(AdminClientConfig.REQUEST_TIMEOUT_MS_CONFIG,
			(int) Math.min(5000, DEADLINE_MS));
		conf.put(AdminClientConfig.DEFAULT_API_TIMEOUT_MS_CONFIG,
			(int) Math.min(15000, DEADLINE_MS));
		return org.apache.kafka.clients.admin.Admin.create(conf);
	}

	/*
	 * Wait until the condition holds; what Kafka calls retriable, and a topic
	 * that is not known yet, only mean "not yet".
	 */
	private static void waitFor(String what, Condition condition)
		throws Exception
	{
		String last = "";

		for (long pause = 10;; pause = Math.min(pause * 2, 100))
		{
			try
			{
				if (condition.holds())
					return;
			}
			catch (ExecutionException e)
			{
				if (!(e.getCause() instanceof RetriableException))
					throw e;
				last = " (last answer: " + e.getCause().getMessage() + ")";
			}
			if (System.nanoTime() - deadline > 0)
				throw new Failure("timed out after " + DEADLINE_MS / 1000 +
								  " s waiting for " + what + last);
			Thread.sleep(pause);
		}
	}

	/*
	 * Wait until every live broker has fetched the metadata log up to its
	 * present end: what was just changed is then known wherever a client asks.
	 */
	private void settle() throws Exception
	{
		long end = quorum().highWatermark();

		waitFor("all brokers to know the change", () -> {
			Set<Integer> live = nodes();
			QuorumInfo quorum = quorum();

			return quorum.highWatermark() > end &&
				quorum.voters().stream()
				.filter(v -> live.contains(v.replicaId()))
				.allMatch(v -> v.logEndOffset() > end);
		});
	}

	private QuorumInfo quorum() throws Exception
	{
		return client().describeMetadataQuorum().quorumInfo().get();
	}

	private Set<Integer> nodes() throws Exception
	{
		return client().describeCluster().nodes().get().stream()
			.map(Node::id).collect(Collectors.toSet());
	}

	private TopicDescription describe(String topic) throws Exception
	{
		return client().describeTopics(List.of(topic)).allTopicNames().get()
			.get(topic);
	}

	private Set<String> topicNames(boolean internal) throws Exception
	{
		return new TreeSet<>(client().listTopics(new ListTopicsOptions()
			.listInternal(internal)).names().get());
	}

	private static String ids(Collection<Node> nodes)
	{
		return nodes.stream().map(n -> "" + n.id())
			.collect(Collectors.joining(","));
	}

	private void waitForLeaders(String topic, int partitions) throws Exception
	{
		waitFor("leaders of topic \"" + topic + "\"", () -> {
			TopicDescription t = describe(topic);

			return t.partitions().size() == partitions &&
				t.partitions().stream().allMatch(p -> p.leader() != null &&
					!p.leader().isEmpty() && !p.isr().isEmpty());
		});
	}

	/* ---------------- the commands, alphabetically ---------------- */

	private void addPartitions(String topic, int total) throws Exception
	{
		client().createPartitions(Map.of(topic,
			NewPartitions.increaseTo(total))).all().get();
		waitForLeaders(topic, total);
		settle();
	}

	/* "name=value" sets, "name=" restores the default. */
	private void alterTopicConfig(String topic, List<String> configs)
		throws Exception
	{
		List<AlterConfigOp> ops = new ArrayList<>();

		for (Map.Entry<String, String> c : pairs(configs).entrySet())
			ops.add(new AlterConfigOp(
				new ConfigEntry(c.getKey(), c.getValue()),
				c.getValue().isEmpty() ? AlterConfigOp.OpType.DELETE
				: AlterConfigOp.OpType.SET));
		client().incrementalAlterConfigs(Map.of(
			new ConfigResource(ConfigResource.Type.TOPIC, topic), ops))
			.all().get();
		settle();
	}

	private void createTopic(String topic, int partitions, short rf,
							 List<String> configs) throws Exception
	{
		client().createTopics(List.of(new NewTopic(topic, partitions, rf)
			.configs(pairs(configs)))).all().get();
		waitForLeaders(topic, partitions);
		settle();
	}

	private void deleteGroup(String group) throws Exception
	{
		client().deleteConsumerGroups(List.of(group)).all().get();
	}

	/* Offset -1 means all there are. */
	private void deleteRecords(String topic, int partition, long offset,
							   PrintStream out) throws Exception
	{
		TopicPartition tp = new TopicPartition(topic, partition);

		out.println("low_watermark=" + client().deleteRecords(Map.of(tp,
			RecordsToDelete.beforeOffset(offset)))
			.lowWatermarks().get(tp).get().lowWatermark());
	}

	private void deleteTopic(String topic) throws Exception
	{
		client().deleteTopics(List.of(topic)).all().get();
		waitFor("the end of topic \"" + topic + "\"",
				() -> !topicNames(true).contains(topic));
		settle();
	}

	private void describeTopic(String topic, PrintStream out) throws Exception
	{
		for (TopicPartitionInfo p : describe(topic).partitions())
			out.println("partition=" + p.partition() +
						" leader=" + (p.leader() == null ||
						p.leader().isEmpty() ? "none" : p.leader().id()) +
						" replicas=" + ids(p.replicas()) +
						" isr=" + ids(p.isr()));
	}

	/* Give each partition back to the first of its replicas. */
	private void electLeaders(String topic) throws Exception
	{
		Set<TopicPartition> all = partitionsOf(topic);

		waitFor("the election of preferred leaders", () -> {
			for (Optional<Throwable> e : client()
					.electLeaders(ElectionType.PREFERRED, all).partitions()
					.get().values())
			{
				if (e.isPresent() &&
					!(e.get() instanceof ElectionNotNeededException))
					return false;
			}
			return true;
		});
		settle();
	}

	/*
	 * Format the folders of the nodes described by these property files, all
	 * in one JVM: StorageTool alone costs more than a second for each.
	 */
	private static void format(List<String> files, PrintStream out)
		throws Exception
	{
		String id = org.apache.kafka.common.Uuid.randomUuid().toString();

		for (String file : files)
		{
			ByteArrayOutputStream said = new ByteArrayOutputStream();
			int rc = kafka.tools.StorageTool.execute(new String[] {"format",
				"--cluster-id", id, "--config", file},
				new PrintStream(said, true));

			if (rc != 0)
				throw new Failure("could not format the storage of " + file +
								  ": " + said);
		}
		out.println("cluster.id=" + id);
	}

	/* Committed offsets of a group beside the ends of the log. */
	private void groupOffsets(String group, PrintStream out) throws Exception
	{
		Map<TopicPartition, OffsetAndMetadata> committed = new TreeMap<>(
			(a, b) -> a.topic().equals(b.topic())
			? Integer.compare(a.partition(), b.partition())
			: a.topic().compareTo(b.topic()));

		committed.putAll(client().listConsumerGroupOffsets(group)
			.partitionsToOffsetAndMetadata().get());
		Map<TopicPartition, Long> ends = ends(committed.keySet(),
			OffsetSpec.latest());

		for (Map.Entry<TopicPartition, OffsetAndMetadata> c :
			committed.entrySet())
		{
			Long end = ends.get(c.getKey());

			if (c.getValue() == null)
				continue;
			out.println("topic=" + c.getKey().topic() +
						" partition=" + c.getKey().partition() +
						" committed=" + c.getValue().offset() +
						" end=" + (end == null ? "none" : end) +
						" lag=" + (end == null ? "none"
								   : end - c.getValue().offset()));
		}
	}

	/* Only Kafka's copy of a position; the group must have no members. */
	private void setGroupOffset(String group, String topic, int partition,
								long offset) throws Exception
	{
		client().alterConsumerGroupOffsets(group, Map.of(
			new TopicPartition(topic, partition),
			new OffsetAndMetadata(offset))).all().get();
	}

	private void offsets(String topic, PrintStream out) throws Exception
	{
		Set<TopicPartition> all = partitionsOf(topic);
		Map<TopicPartition, Long> low = ends(all, OffsetSpec.earliest());
		Map<TopicPartition, Long> high = ends(all, OffsetSpec.latest());

		for (TopicPartition tp : all)
			out.println("partition=" + tp.partition() +
						" low=" + low.get(tp) + " high=" + high.get(tp));
	}

	/* Each word after the partition is the value of one message. */
	private void produce(String topic, int partition, List<String> values)
		throws Exception
	{
		try (KafkaProducer<byte[], byte[]> p = producer(null))
		{
			send(p, topic, partition, values);
		}
	}

	/*
	 * One transaction with these messages; the end of it, "commit" or
	 * "abort", is a control record with an offset of its own.
	 */
	private void transaction(String end, String topic, int partition,
							 List<String> values) throws Exception
	{
		if (!end.equals("commit") && !end.equals("abort"))
			throw new Failure("a transaction ends by commit or abort, not \"" +
							  end + "\"");
		try (KafkaProducer<byte[], byte[]> producer =
			 producer("admin-" + ProcessHandle.current().pid()))
		{
			producer.initTransactions();
			producer.beginTransaction();
			send(producer, topic, partition, values);
			if (end.equals("commit"))
				producer.commitTransaction();
			else
				producer.abortTransaction();
		}
	}

	/*
	 * Delete a topic and make another of the same name as fast as can be: for
	 * clients this is one moment, and the new log looks like the old one.
	 */
	private void recreateTopic(String topic, int partitions, short rf,
							   List<String> configs) throws Exception
	{
		client().deleteTopics(List.of(topic)).all().get();
		waitFor("the new topic \"" + topic + "\"", () -> {
			try
			{
				client().createTopics(List.of(new NewTopic(topic, partitions,
					rf).configs(pairs(configs)))).all().get();
				return true;
			}
			catch (ExecutionException e)
			{
				if (e.getCause() instanceof TopicExistsException)
					return false;
				throw e;
			}
		});
		waitForLeaders(topic, partitions);
	}

	private void topics(boolean internal, PrintStream out) throws Exception
	{
		Set<String> names = topicNames(internal);
		Map<String, TopicDescription> all = client().describeTopics(names)
			.allTopicNames().get();

		for (String name : names)
		{
			TopicDescription t = all.get(name);

			out.println("topic=" + name +
						" partitions=" + t.partitions().size() +
						" replication_factor=" +
						t.partitions().get(0).replicas().size() +
						" id=" + t.topicId());
		}
	}

	/*
	 * Wait until this many brokers serve, the metadata quorum has a leader
	 * that all of them follow, and the internal topics of groups and of
	 * transactions exist with their coordinators loaded: without that the
	 * first consumer and the first producer of a test wait for them.
	 */
	private void waitReady(int brokers, PrintStream out) throws Exception
	{
		for (String address : bootstrap.split(","))
			waitBroker(address);
		waitFor(brokers + " brokers", () -> nodes().size() == brokers);
		waitFor("the metadata quorum", () -> quorum().leaderId() >= 0 &&
				quorum().voters().size() == brokers);
		for (String probe : PROBES)
		{
			waitFor("the group coordinators", () -> {
				client().listConsumerGroupOffsets(probe)
					.partitionsToOffsetAndMetadata().get();
				return true;
			});
			waitFor("the transaction coordinators", () -> {
				try
				{
					client().describeTransactions(List.of(probe)).all().get();
				}
				catch (ExecutionException e)
				{
					if (!(e.getCause() instanceof
						  TransactionalIdNotFoundException))
						throw e;
				}
				return true;
			});
		}
		settle();
		out.println("brokers=" + nodes().size() +
					" controller=" + quorum().leaderId());
	}

	/*
	 * Wait until the broker at this address serves.  Only its own answer
	 * counts: for some seconds after a kill the others still list it.
	 */
	private void waitBroker(String address) throws Exception
	{
		try (org.apache.kafka.clients.admin.Admin own = connect(address))
		{
			waitFor("the broker at " + address, () -> own.describeCluster()
				.nodes().get().stream().anyMatch(n -> address.endsWith(
					":" + n.port())));
		}
	}

	/*
	 * Wait until all brokers serve and every replica of these topics (of all
	 * topics) is in sync.
	 */
	private void waitInSync(List<String> names) throws Exception
	{
		for (String address : bootstrap.split(","))
			waitBroker(address);
		waitFor("all replicas in sync", () -> client()
			.describeTopics(names.isEmpty() ? topicNames(true) : names)
			.allTopicNames().get().values().stream()
			.flatMap(t -> t.partitions().stream())
			.allMatch(p -> p.isr().size() == p.replicas().size()));
	}

	/* ---------------- helpers of the commands ---------------- */

	private static Map<String, String> pairs(List<String> words)
		throws Failure
	{
		Map<String, String> result = new TreeMap<>();

		for (String word : words)
		{
			int eq = word.indexOf('=');

			if (eq <= 0)
				throw new Failure("\"" + word + "\" is not name=value");
			result.put(word.substring(0, eq), word.substring(eq + 1));
		}
		return result;
	}

	private Set<TopicPartition> partitionsOf(String topic) throws Exception
	{
		Set<TopicPartition> result = new LinkedHashSet<>();

		for (TopicPartitionInfo p : describe(topic).partitions())
			result.add(new TopicPartition(topic, p.partition()));
		return result;
	}

	/* Ends of these logs; what no longer exists is left out. */
	private Map<TopicPartition, Long> ends(Set<TopicPartition> partitions,
										   OffsetSpec spec) throws Exception
	{
		Map<TopicPartition, Long> result = new HashMap<>();
		Map<TopicPartition, OffsetSpec> wanted = new HashMap<>();
		Set<String> known = topicNames(true);

		for (TopicPartition tp : partitions)
		{
			if (known.contains(tp.topic()))
				wanted.put(tp, spec);
		}
		var answers = client().listOffsets(wanted);

		for (TopicPartition tp : wanted.keySet())
		{
			try
			{
				result.put(tp, answers.partitionResult(tp).get().offset());
			}
			catch (ExecutionException e)
			{
				if (!(e.getCause() instanceof UnknownTopicOrPartitionException))
					throw e;
			}
		}
		return result;
	}

	private KafkaProducer<byte[], byte[]> producer(String transactionalId)
	{
		Map<String, Object> conf = new HashMap<>();

		conf.put("bootstrap.servers", bootstrap);
		if (transactionalId != null)
			conf.put("transactional.id", transactionalId);
		return new KafkaProducer<>(conf, new ByteArraySerializer(),
								   new ByteArraySerializer());
	}

	private static void send(KafkaProducer<byte[], byte[]> producer,
							 String topic, int partition, List<String> values)
		throws Exception
	{
		List<java.util.concurrent.Future<?>> sent = new ArrayList<>();

		for (String value : values)
			sent.add(producer.send(new ProducerRecord<>(topic, partition,
				(byte[]) null, value.getBytes(StandardCharsets.UTF_8))));
		for (java.util.concurrent.Future<?> s : sent)
			s.get();
	}

	/* ---------------- the words of a command ---------------- */

	private static int number(String word) throws Failure
	{
		return Math.toIntExact(longNumber(word));
	}

	private static long longNumber(String word) throws Failure
	{
		try
		{
			return Long.parseLong(word);
		}
		catch (NumberFormatException e)
		{
			throw new Failure("\"" + word + "\" is not a number");
		}
	}

	private void run(List<String> words, PrintStream out) throws Exception
	{
		String name = words.get(0);
		List<String> args = words.subList(1, words.size());
		int least = Map.ofEntries(
			Map.entry("add-partitions", 2),
			Map.entry("alter-topic-config", 2),
			Map.entry("create-topic", 3),
			Map.entry("delete-group", 1),
			Map.entry("delete-records", 3),
			Map.entry("delete-topic", 1),
			Map.entry("describe-topic", 1),
			Map.entry("elect-leaders", 1),
			Map.entry("format", 1),
			Map.entry("group-offsets", 1),
			Map.entry("offsets", 1),
			Map.entry("produce", 3),
			Map.entry("recreate-topic", 3),
			Map.entry("set-group-offset", 4),
			Map.entry("topics", 0),
			Map.entry("transaction", 4),
			Map.entry("wait-broker", 1),
			Map.entry("wait-in-sync", 0),
			Map.entry("wait-ready", 1)).getOrDefault(name, -1);

		if (least < 0)
			throw new Failure("unknown command \"" + name + "\"");
		if (args.size() < least)
			throw new Failure(name + " needs " + least + " arguments");

		switch (name)
		{
			case "add-partitions":
				addPartitions(args.get(0), number(args.get(1)));
				break;
			case "alter-topic-config":
				alterTopicConfig(args.get(0), args.subList(1, args.size()));
				break;
			case "create-topic":
				createTopic(args.get(0), number(args.get(1)),
							(short) number(args.get(2)),
							args.subList(3, args.size()));
				break;
			case "delete-group":
				deleteGroup(args.get(0));
				break;
			case "delete-records":
				deleteRecords(args.get(0), number(args.get(1)),
							  longNumber(args.get(2)), out);
				break;
			case "delete-topic":
				deleteTopic(args.get(0));
				break;
			case "describe-topic":
				describeTopic(args.get(0), out);
				break;
			case "elect-leaders":
				electLeaders(args.get(0));
				break;
			case "format":
				format(args, out);
				break;
			case "group-offsets":
				groupOffsets(args.get(0), out);
				break;
			case "offsets":
				offsets(args.get(0), out);
				break;
			case "produce":
				produce(args.get(0), number(args.get(1)),
						args.subList(2, args.size()));
				break;
			case "recreate-topic":
				recreateTopic(args.get(0), number(args.get(1)),
							  (short) number(args.get(2)),
							  args.subList(3, args.size()));
				break;
			case "set-group-offset":
				setGroupOffset(args.get(0), args.get(1), number(args.get(2)),
							   longNumber(args.get(3)));
				break;
			case "topics":
				topics(args.contains("--all"), out);
				break;
			case "transaction":
				transaction(args.get(0), args.get(1), number(args.get(2)),
							args.subList(3, args.size()));
				break;
			case "wait-broker":
				waitBroker(args.get(0));
				break;
			case "wait-in-sync":
				waitInSync(args);
				break;
			case "wait-ready":
				waitReady(number(args.get(0)), out);
				break;
			default:
				throw new IllegalStateException(name);
		}
	}

	/* The error in one line: Kafka's own words where it is Kafka's. */
	private static String reason(Exception e)
	{
		Throwable t = e instanceof ExecutionException && e.getCause() != null
			? e.getCause() : e;
		String text = t instanceof Failure ? t.getMessage()
			: t.getClass().getSimpleName() + ": " + t.getMessage();

		return text.replaceAll("\\s*\\R\\s*", " ").trim();
	}

	private void serve() throws Exception
	{
		BufferedReader in = new BufferedReader(
			new InputStreamReader(System.in, StandardCharsets.UTF_8));
		String line;

		while ((line = in.readLine()) != null)
		{
			if (line.isBlank())
				continue;
			startDeadline();
			try
			{
				run(Arrays.asList(line.contains("\t") ? line.split("\t")
					: line.trim().split(" +")), System.out);
				System.out.println("ok");
			}
			catch (Exception e)
			{
				System.out.println("error: " + reason(e));
			}
			System.out.flush();
		}
	}

	private int runAll(List<String> words)
	{
		List<String> command = new ArrayList<>();

		startDeadline();
		words = new ArrayList<>(words);
		words.add("--");
		for (String word : words)
		{
			if (!word.equals("--"))
			{
				command.add(word);
				continue;
			}
			try
			{
				if (!command.isEmpty())
					run(command, System.out);
			}
			catch (Exception e)
			{
				System.out.flush();
				System.err.println("error: " + reason(e));
				return 1;
			}
			command = new ArrayList<>();
		}
		return 0;
	}

	public static void main(String[] argv) throws Exception
	{
		int rc = 0;

		if (argv.length < 1)
		{
			System.err.println("usage: Admin BOOTSTRAP|- [COMMAND...]");
			System.exit(2);
		}
		Admin admin = new Admin(argv[0]);
		List<String> words = Arrays.asList(argv).subList(1, argv.length);

		if (words.isEmpty())
			admin.serve();
		else
			rc = admin.runAll(words);
		System.out.flush();
		/* Not closing the client: nothing of it outlives this process. */
		System.exit(rc);
	}
}
