"""keys of the programs that call the gateway"""

import sqlalchemy as sa
import sqlmodel
from alembic import op

import records.database

revision = '0003'
down_revision = '0002'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        'apikey',
        sa.Column('id', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column('kind', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column('holder', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column('contact_id', sa.Integer(), nullable=True),
        sa.Column('digest', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column('made_at', records.database.UtcDateTime(timezone=True), nullable=False),
        sa.Column('ends_at', records.database.UtcDateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_apikey')),
    )
    op.create_index(op.f('ix_apikey_holder'), 'apikey', ['holder'])


def downgrade() -> None:
    op.drop_table('apikey')
