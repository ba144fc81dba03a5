/*
 * Metadata.java: what a BI tool on JDBC sees of the schema factorymon.
 *
 *	java -cp 'DRIVER/*' Metadata.java URL
 *
 * Prints a line for each thing seen, its members separated by tabs:
 *
 *	schema NAME		table KIND NAME REMARKS		key TABLE COLUMN
 *	index TABLE NAME	type NAME CODE
 *	column TABLE NAME TYPE CODE REMARKS
 *	read VIEW ROWS	(at most 100, each column fetched)
 *	instant WAY MILLISECONDS	of the newest reading, fetched in three ways
 *	streamed ROWS PORTALS	limited ROWS
 *
 * test/t/350_jdbc.pl compares them with the catalogs.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 */
import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.time.OffsetDateTime;
import java.util.ArrayList;
import java.util.List;

public final class Metadata
{
	private static final String SCHEMA = "factorymon";

	private Metadata()
	{
	}

	private static void say(Object... members)
	{
		List<String> texts = new ArrayList<>();

		for (Object member : members)
			texts.add(String.valueOf(member).replaceAll("[\\t\\n]", " "));
		System.out.println(String.join("\t", texts));
	}

	/* The first column of a question, as texts. */
	private static List<String> column(ResultSet rows, String name)
		throws SQLException
	{
		List<String> values = new ArrayList<>();

		try (rows)
		{
			while (rows.next())
				values.add(rows.getString(name));
		}
		return values;
	}

	private static void relations(DatabaseMetaData data) throws SQLException
	{
		for (String schema : column(data.getSchemas(), "TABLE_SCHEM"))
			say("schema", schema);
		try (ResultSet rows = data.getTables(null, SCHEMA, "%",
			new String[]{"TABLE", "VIEW", "PARTITIONED TABLE"}))
		{
			while (rows.next())
				say("table", rows.getString("TABLE_TYPE"),
					rows.getString("TABLE_NAME"), rows.getString("REMARKS"));
		}
		try (ResultSet rows = data.getColumns(null, SCHEMA, "%", "%"))
		{
			while (rows.next())
				say("column", rows.getString("TABLE_NAME"),
					rows.getString("COLUMN_NAME"), rows.getString("TYPE_NAME"),
					rows.getInt("DATA_TYPE"), rows.getString("REMARKS"));
		}
		try (ResultSet rows = data.getTypeInfo())
		{
			while (rows.next())
				say("type", rows.getString("TYPE_NAME"), rows.getInt("DATA_TYPE"));
		}
	}

	private static void keys(DatabaseMetaData data) throws SQLException
	{
		for (String table : column(data.getTables(null, SCHEMA, "%",
			new String[]{"TABLE", "VIEW"}), "TABLE_NAME"))
		{
			for (String name : column(
				data.getPrimaryKeys(null, SCHEMA, table), "COLUMN_NAME"))
				say("key", table, name);
			for (String name : column(
				data.getIndexInfo(null, SCHEMA, table, false, true), "INDEX_NAME"))
				say("index", table, name);
		}
	}

	/* Every column of every view, as whatever Java class the driver gives. */
	private static void read(Connection connection) throws SQLException
	{
		for (String view : column(connection.getMetaData().getTables(null,
			SCHEMA, "%", new String[]{"VIEW"}), "TABLE_NAME"))
		{
			int rows = 0;

			try (Statement statement = connection.createStatement())
			{
				statement.setMaxRows(100);
				ResultSet found = statement.executeQuery(
					"SELECT * FROM " + SCHEMA + "." + view);

				for (; found.next(); rows++)
					for (int i = 1; i <= found.getMetaData().getColumnCount(); i++)
						found.getObject(i);
			}
			say("read", view, rows);
		}
	}

	private static void instants(Connection connection) throws SQLException
	{
		try (Statement statement = connection.createStatement();
			ResultSet found = statement.executeQuery(
				"SELECT ts FROM factorymon.sensor_readings ORDER BY ts DESC LIMIT 1"))
		{
			found.next();
			say("instant", "OffsetDateTime",
				found.getObject(1, OffsetDateTime.class).toInstant().toEpochMilli());
			say("instant", "Timestamp",
				found.getTimestamp(1).toInstant().toEpochMilli());
			say("instant", "Object",
				((java.sql.Timestamp) found.getObject(1)).getTime());
		}
	}

	/* Without autocommit and with a fetch size, rows come as they are asked for:
	 * the portal that they come from is open meanwhile. */
	private static void stream(Connection connection) throws SQLException
	{
		String many = "SELECT r.* FROM factorymon.sensor_readings r,"
			+ " generate_series(1, 1000)";
		int rows = 0;
		String portals = null;

		connection.setAutoCommit(false);
		try (Statement statement = connection.createStatement();
			Statement other = connection.createStatement())
		{
			statement.setFetchSize(500);
			ResultSet found = statement.executeQuery(many);

			for (; found.next(); rows++)
				if (rows == 0)
					portals = column(other.executeQuery(
						"SELECT count(*) AS n FROM pg_cursors"
						+ " WHERE statement LIKE '%generate_series%'"
						+ " AND statement NOT LIKE '%pg_cursors%'"), "n").get(0);
			say("streamed", rows, portals);
		}
		connection.commit();
		try (Statement statement = connection.createStatement())
		{
			statement.setMaxRows(7);
			rows = 0;
			for (ResultSet found = statement.executeQuery(many); found.next();)
				rows++;
			say("limited", rows);
		}
		connection.commit();
	}

	public static void main(String[] arguments) throws SQLException
	{
		try (Connection connection = DriverManager.getConnection(arguments[0]))
		{
			relations(connection.getMetaData());
			keys(connection.getMetaData());
			read(connection);
			instants(connection);
			stream(connection);
		}
	}
}
