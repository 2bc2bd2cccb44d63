"""contacts that were revoked, desk addresses that staff accepted"""

import sqlalchemy as sa
import sqlmodel
from alembic import op

import records.database

revision = '0007'
down_revision = '0006'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        'contact', sa.Column('revoked_at', records.database.UtcDateTime(), nullable=True)
    )
    op.create_table(
        'acceptedaddress',
        sa.Column('training_id', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column('mailbox_key', sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column('accepted_at', records.database.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint('training_id', 'mailbox_key', name=op.f('pk_acceptedaddress')),
    )


def downgrade() -> None:
    op.drop_table('acceptedaddress')
    op.drop_column('contact', 'revoked_at')
