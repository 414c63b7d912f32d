"""SQLAlchemy's inspector, Core and ORM, and pandas through it."""
import pandas
import sqlalchemy as sa
from checks import URL, check, end, equal
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

engine = sa.create_engine(URL.replace("postgresql://", "postgresql+psycopg://"))


@check("inspector: names")
def _():
    inspector = sa.inspect(engine)
    assert {"bids", "person", "nexmark_bids"} <= set(inspector.get_table_names()), inspector.get_table_names()
    equal(inspector.get_view_names(), ["v_bids"])
    equal(inspector.get_materialized_view_names(), ["mv_tumble"])
    assert "public" in inspector.get_schema_names()
    equal(inspector.default_schema_name, "public")


@check("inspector: columns, keys, comments")
def _():
    inspector = sa.inspect(engine)
    columns = {column["name"]: column for column in inspector.get_columns("bids")}
    equal(str(columns["url"]["type"]), "VARCHAR(255)")
    equal(str(columns["extra"]["type"]), "JSONB")
    equal(str(columns["amt"]["type"]), "NUMERIC(18, 4)")
    equal((columns["auction"]["nullable"], columns["price"]["nullable"]), (False, True))
    equal(str(columns["tags"]["type"]), "ARRAY")
    equal(inspector.get_pk_constraint("bids")["constrained_columns"], ["auction", "bidder", "ts"])
    equal(inspector.get_table_comment("bids"), {"text": "nexmark bids"})
    equal((inspector.get_foreign_keys("bids"), inspector.get_indexes("bids"), inspector.get_unique_constraints("bids")), ([], [], []))
    assert "SELECT auction" in inspector.get_view_definition("v_bids")
    assert inspector.has_table("bids") and not inspector.has_table("nothing")


@check("reflection of everything")
def _():
    metadata = sa.MetaData()
    metadata.reflect(engine, views=True)
    table = metadata.tables["bids"]
    with engine.connect() as connection:
        query = sa.select(table.c.auction, sa.func.count(), sa.func.max(table.c.price)).group_by(table.c.auction).order_by(table.c.auction)
        equal(connection.execute(query).all()[0], (0, 40, 2000))


class Base(DeclarativeBase):
    pass


class Measured(Base):
    __tablename__ = "sa_measured"
    id: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(sa.String(20), nullable=True)
    value: Mapped[float] = mapped_column(sa.Float, nullable=True)


@check("ORM: create, insert, query, undo")
def _():
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add_all([Measured(id=n, name=f"n{n}", value=n / 2) for n in range(10)])
        session.commit()
        equal(session.scalars(sa.select(Measured).where(Measured.id == 4)).one().value, 2.0)
        session.add(Measured(id=77, name="undone", value=0))
        session.flush()
        session.rollback()
        equal(session.scalar(sa.select(sa.func.count()).select_from(Measured)), 10)
    Base.metadata.drop_all(engine)
    assert not sa.inspect(engine).has_table("sa_measured")


@check("stream_results")
def _():
    with engine.connect().execution_options(stream_results=True, max_row_buffer=13) as connection:
        equal(sum(1 for _ in connection.execute(sa.text("SELECT price FROM bids"))), 200)


@check("pandas: read_sql, read_sql_table, to_sql")
def _():
    frame = pandas.read_sql("SELECT auction, price, ts, amt FROM bids ORDER BY price", engine)
    equal((len(frame), str(frame.dtypes["auction"])), (200, "int64"))
    equal(len(pandas.read_sql_table("person", engine)), 20)
    equal(frame[["auction", "price"]].to_sql("sa_frame", engine, index=False), 200)
    equal(len(pandas.read_sql_table("sa_frame", engine)), 200)
    with engine.begin() as connection:
        connection.execute(sa.text("DROP TABLE sa_frame"))


end()
