"""Run by Alembic: migrations go over the connection that ``bridge.store.migrate`` hands in."""

from alembic import context

from bridge.store.schema import whole

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=whole(), render_as_batch=False)
with context.begin_transaction():
    context.run_migrations()
