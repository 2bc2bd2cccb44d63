"""xAPI statements"""

import sqlalchemy as sa
import sqlmodel
from alembic import op

import records.database

revision = '0005'
down_revision = '0004'
branch_labels = None
depends_on = None

Text = sqlmodel.sql.sqltypes.AutoString


def upgrade() -> None:
    op.create_table(
        'xapistatement',
        sa.Column('source', Text(), nullable=False),
        sa.Column('id', Text(), nullable=False),
        sa.Column('digest', Text(), nullable=False),
        sa.Column('content', sa.JSON(), nullable=False),
        sa.Column('training_id', Text(), nullable=False),
        sa.Column('voids', Text(), nullable=False),
        sa.Column('voided', sa.Boolean(), nullable=False),
        sa.Column('stored_at', records.database.UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint('source', 'id', name=op.f('pk_xapistatement')),
    )
    op.create_index(op.f('ix_xapistatement_id'), 'xapistatement', ['id'])
    op.create_index(op.f('ix_xapistatement_voids'), 'xapistatement', ['voids'])


def downgrade() -> None:
    op.drop_table('xapistatement')
