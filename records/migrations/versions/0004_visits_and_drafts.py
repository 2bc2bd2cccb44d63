"""sign-ins, visits, tries and drafts of the gateway's pages"""

import sqlalchemy as sa
import sqlmodel
from alembic import op

import records.database

revision = '0004'
down_revision = '0003'
branch_labels = None
depends_on = None

Text = sqlmodel.sql.sqltypes.AutoString
Instant = records.database.UtcDateTime


def upgrade() -> None:
    op.create_table(
        'signin',
        sa.Column('id', Text(), nullable=False),
        sa.Column('mailbox_key', Text(), nullable=False),
        sa.Column('browser', Text(), nullable=False),
        sa.Column('ends_at', Instant(timezone=True), nullable=False),
        sa.Column('used', sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_signin')),
    )
    op.create_index(op.f('ix_signin_ends_at'), 'signin', ['ends_at'])
    op.create_table(
        'visit',
        sa.Column('id', Text(), nullable=False),
        sa.Column('mailbox_key', Text(), nullable=False),
        sa.Column('ends_at', Instant(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_visit')),
    )
    op.create_index(op.f('ix_visit_ends_at'), 'visit', ['ends_at'])
    op.create_table(
        'tries',
        sa.Column('what', Text(), nullable=False),
        sa.Column('subject', Text(), nullable=False),
        sa.Column('period', Instant(timezone=True), nullable=False),
        sa.Column('count', sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint('what', 'subject', 'period', name=op.f('pk_tries')),
    )
    op.create_table(
        'rosterdraft',
        sa.Column('id', Text(), nullable=False),
        sa.Column('agency_id', Text(), nullable=False),
        sa.Column('roster_type', Text(), nullable=False),
        sa.Column('encoding', Text(), nullable=False),
        sa.Column('filename', Text(), nullable=False),
        sa.Column('content', sa.LargeBinary(), nullable=False),
        sa.Column('ends_at', Instant(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ['agency_id'], ['agency.id'], name=op.f('fk_rosterdraft_agency_id_agency')
        ),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_rosterdraft')),
    )
    op.create_index(op.f('ix_rosterdraft_ends_at'), 'rosterdraft', ['ends_at'])


def downgrade() -> None:
    for table in ('rosterdraft', 'tries', 'visit', 'signin'):
        op.drop_table(table)
